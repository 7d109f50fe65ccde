"""
Dice that fall the same way for the same name, on every machine and Python.

Owns the one source of chance behind generated contacts and companies. It must never keep state
between names: contact 999,999 has to come out right without the 999,999 before it.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")

_ENOUGH = 1 << 64  # below this the pool is too shallow for an even throw


class SeededRandom:
    """
    A stream of throws named by what it is for, such as `SeededRandom(seed, "name", 17)`.

    Cheaper than `random.Random`, which shuffles 624 words before its first number; a page of 100
    contacts needs several hundred of these.
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
        """One of `things`, each as likely."""
        return things[self.below(len(things))]

    def chance(self, per_mille: int) -> bool:
        """True in `per_mille` of 1,000 throws."""
        return self.below(1000) < per_mille

    def weighted(self, table: Sequence[tuple[int, T]], otherwise: T) -> T:
        """An entry of `table`, which gives each its share in 1,000; the rest is `otherwise`."""
        face = self.below(1000)
        for share, thing in table:
            face -= share
            if face < 0:
                return thing
        return otherwise
