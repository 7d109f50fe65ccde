"""
Random numbers determined by a name alone, on every machine and Python version.

So contact 999,999 can be generated without the 999,999 before it.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")

_ENOUGH = 1 << 64  # below this the pool is too small for an even distribution


class SeededRandom:
    """
    A stream of random numbers with a name, such as `SeededRandom(seed, "name", 17)`.

    Faster than `random.Random`, which initialises 624 words; a page of 100 contacts needs several
    hundred streams.
    """

    __slots__ = ("_name", "_pool", "_refills")

    def __init__(self, *name: object) -> None:
        self._name = "/".join(map(str, name)).encode()
        self._refills = 0
        self._pool = 0

    def below(self, sides: int) -> int:
        """A whole number from 0 to `sides - 1`."""
        if self._pool < _ENOUGH:
            salt = self._refills.to_bytes(16, "big")
            self._pool = int.from_bytes(blake2b(self._name, salt=salt).digest(), "big")
            self._refills += 1
        self._pool, face = divmod(self._pool, sides)
        return face

    def pick(self, things: Sequence[T]) -> T:
        """One of `things`, with equal probability."""
        return things[self.below(len(things))]

    def chance(self, per_mille: int) -> bool:
        """True with a probability of `per_mille` in 1,000."""
        return self.below(1000) < per_mille

    def weighted(self, table: Sequence[tuple[int, T]], otherwise: T) -> T:
        """An entry of `table` by its share in 1,000; `otherwise` for the rest."""
        face = self.below(1000)
        for share, thing in table:
            face -= share
            if face < 0:
                return thing
        return otherwise
