"""A text that must not be printed: what holds it shows stars."""

from typing import Any, NoReturn


class Secret:
    """A text that only `reveal` shows. Equal by value; cannot be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for a header or the body of a request and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "****"

    def __format__(self, spec: str) -> str:
        return "****"  # without the spec: padding would tell nothing, slicing might

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self  # `dataclasses.asdict` copies deeply, and would pickle otherwise

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
