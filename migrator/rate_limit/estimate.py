"""What recent sends and throttled answers say about a limit; times are seconds, monotonic."""

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field

# Limits are per minute; the minute before shows where a window began.
WINDOW_SECONDS = 60.0
REMEMBERED_SECONDS = 180.0
# If more of a window than this was before our first request, an earlier process may have used most
# of it. Our count is then used only if it is near the smallest documented limit, a hundred.
UNSEEN_SECONDS = 5.0
LEAST_UNSEEN_COUNT = 90
# How much later than the service's decision its answer arrives.
ANSWER_DELAY_SECONDS = 0.3
# The error of a counted minute: at the border of two windows, and because a few reserved requests
# do not leave, or a few leave unreserved.
MEASURED_LOW, MEASURED_HIGH = 0.97, 1.01
# A shorter flow measures the pauses after throttled answers. A bucket's burst or a window that
# drains distorts it, so it lowers the count of a minute by a twentieth at most.
FLOW_SECONDS = 5.0
LEAST_FLOW_OF_COUNT, LEAST_STEADY = 0.95, 0.5


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
        """How many there were after one time and not after another."""
        return bisect_right(self._moments, until) - bisect_right(self._moments, after)

    def last_but(self, count: int) -> float | None:
        """The time of the `count`-th newest; `None` = there are fewer."""
        return self._moments[-count] if 0 < count <= len(self._moments) else None


@dataclass
class History:
    """
    When requests left, without throttled ones, and when throttling began.

    Which of the requests was throttled does not matter.
    """

    sent: RecentTimes = field(default_factory=RecentTimes)
    throttled: RecentTimes = field(default_factory=RecentTimes)


@dataclass(frozen=True)
class Throttling:
    """
    A period in which the service throttles.

    Args:
        at: When the first throttled answer came.
        shut_at: The last time at which the service was known to let nothing through.
        probes: Single requests sent since then, to see whether it is open again.
        probed_at: When the newest probe left.
    """

    at: float
    shut_at: float
    probes: int = 0
    probed_at: float = 0.0


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
    latest = throttling.probed_at - WINDOW_SECONDS
    low = sent.between(latest, throttling.at)
    high = sent.between(throttling.shut_at - WINDOW_SECONDS - ANSWER_DELAY_SECONDS, throttling.at)
    if high >= LEAST_UNSEEN_COUNT or (high and latest >= began - UNSEEN_SECONDS):
        return low * MEASURED_LOW, high * MEASURED_HIGH
    return None


def flow_beyond(history: History, tolerated: int, held_at: float, began: float) -> float | None:
    """
    What is let through while throttled answers come more often than is tolerated.

    Args:
        tolerated: How many of them in the last minute, or since `held_at`.
        held_at: When the rate was last set; `began` = it climbs.
        began: When the first request left.

    Returns:
        Requests a minute; `None` = they come less often, or for a shorter time.
    """
    sent, throttled = history.sent, history.throttled
    now = throttled.last_but(1) or held_at
    first = throttled.last_but(max(tolerated, throttled.between(now - FLOW_SECONDS, now)) + 1)
    minute_ago = now - WINDOW_SECONDS
    if first is None or first <= max(held_at, minute_ago):
        return None
    flow = sent.between(first, now) * 60 / (now - first)
    counted = sent.between(minute_ago, now)
    if held_at <= began or began > minute_ago:
        return flow
    if flow < LEAST_STEADY * counted:  # more than a burst: the limit was lowered
        return flow
    return min(counted, max(flow, LEAST_FLOW_OF_COUNT * counted))
