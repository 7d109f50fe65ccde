"""What recent sends and throttled answers say about a limit; times are seconds, monotonic."""

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field

from migrator.rate_limit.state import Throttling

# Limits are per minute; the minute before shows where a window began.
WINDOW_SECONDS = 60.0
REMEMBERED_SECONDS = 300.0
# If more of a window than this was before our first request, an earlier process may have used most
# of it. Our count is then used only if it is near the smallest documented limit, a hundred.
UNSEEN_SECONDS, LEAST_UNSEEN_COUNT = 5.0, 90
# How much later than the service's decision its answer arrives.
ANSWER_DELAY_SECONDS = 0.3
# The error of a counted minute: at the border of two windows, and because a few reserved requests
# do not leave, or a few leave unreserved.
MEASURED_LOW, MEASURED_HIGH = 0.97, 1.01


class RecentTimes:
    """The times of events of the last minutes, in order. Not thread-safe."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def add(self, now: float, count: int = 1) -> None:
        """Add events of this time."""
        self._moments.extend([now] * count)
        while self._moments and self._moments[0] < now - REMEMBERED_SECONDS:
            self._moments.popleft()

    def take_back(self) -> None:
        """Remove the newest one."""
        if self._moments:
            self._moments.pop()

    def between(self, after: float, until: float) -> int:
        """How many there were after one time and not after another; 0 if that is the earlier."""
        return max(0, bisect_right(self._moments, until) - bisect_right(self._moments, after))

    def first(self, after: float) -> float:
        """The first one after a time; there must be one."""
        return self._moments[bisect_right(self._moments, after)]


@dataclass
class History:
    """
    When requests left, without throttled ones, and when throttling began.

    Which of the requests was throttled does not matter.
    """

    sent: RecentTimes = field(default_factory=RecentTimes)
    throttled: RecentTimes = field(default_factory=RecentTimes)

    def since(self, after: float, now: float) -> tuple[int, int]:
        """How many throttled answers there were after a time, and how many requests in all."""
        throttled = self.throttled.between(after, now)
        return throttled, throttled + self.sent.between(after, now)


def nearest_round_number(low: float, high: float) -> float:
    """The roundest number in a range, or its middle; people choose round limits."""
    middle = (low + high) / 2
    power = 10.0 ** math.ceil(math.log10(max(high, 1.0)))
    while power >= 1.0:
        for step in (power, power / 2, power / 5):
            if low <= (nearest := round(middle / step) * step) <= high and nearest:
                return nearest
        power /= 10
    return middle


def window_range(
    sent: RecentTimes, began: float, throttling: Throttling
) -> tuple[float, float] | None:
    """
    The range of a limit that shut for a while: its window had begun a minute before it opened.

    Args:
        began: When the first request left.

    Returns:
        In requests a minute; `None` = too little of the window was seen.
    """
    latest = (throttling.probed_at or throttling.shut_at) - WINDOW_SECONDS
    low = sent.between(latest, throttling.at)
    high = sent.between(throttling.shut_at - WINDOW_SECONDS - ANSWER_DELAY_SECONDS, throttling.at)
    if high < (LEAST_UNSEEN_COUNT if latest < began - UNSEEN_SECONDS else 1):
        return None
    return low * MEASURED_LOW, high * MEASURED_HIGH
