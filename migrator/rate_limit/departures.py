"""What left lately, by the moment: the only measure of a limit that a service does not tell."""

from bisect import bisect_right
from collections import deque

# Limits are counted by the minute; the one before it tells where a minute began.
REMEMBERED_SECONDS = 180.0


class SendTimes:
    """
    Moments at which requests left, in order; those that were refused are taken out again.

    It is not locked; whoever shares it does that.
    """

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def add(self, now: float, count: int) -> None:
        """So many left at this moment."""
        self._moments.extend([now] * count)
        while self._moments and self._moments[0] < now - REMEMBERED_SECONDS:
            self._moments.popleft()

    def take_back(self) -> None:
        """The newest one was refused; which one it was exactly matters to nobody."""
        if self._moments:
            self._moments.pop()

    def between(self, after: float, until: float) -> int:
        """How many left after one moment and not after another."""
        return bisect_right(self._moments, until) - bisect_right(self._moments, after)

    def last_but(self, count: int) -> float | None:
        """When the one left that the newest `count - 1` came after; `None` = there is none."""
        return self._moments[-count] if 0 < count <= len(self._moments) else None
