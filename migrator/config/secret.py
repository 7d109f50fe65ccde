"""A string that prints as stars."""

from typing import Any, NoReturn


class Secret:
    """A string that only `reveal` returns. Equal by value; cannot be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string, for a header or the body of a request only."""
        return self._value

    def __repr__(self) -> str:
        return "****"

    def __format__(self, spec: str) -> str:
        return "****"  # the format spec is ignored: it could slice

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self  # `dataclasses.asdict` copies deeply, and would pickle otherwise

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
