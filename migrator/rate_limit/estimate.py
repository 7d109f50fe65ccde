"""
Estimates a rate limit from recent send times and a throttled answer, as a range that contains it.

The service may count in consecutive windows, in the last sixty seconds, or by a token bucket that
refills steadily; the time at which it opens again shows which. Times are seconds on a monotonic
clock.
"""

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

WINDOW_SECONDS = 60.0
# Limits are per minute; the minute before shows where a window began.
REMEMBERED_SECONDS = 180.0
# If more of a window than this was before our first request, an earlier process may have used most
# of it. Our count is then used only if it is near the smallest documented limit, a hundred.
UNSEEN_SECONDS = 5.0
LEAST_UNSEEN_COUNT = 90
# Sends pause after each throttled answer: a flow shorter than two pauses measures the pauses.
LEAST_FLOW_SECONDS = 2.0
# How much later than the service's decision its answer arrives.
ANSWER_DELAY_SECONDS = 0.3
# The error of a counted minute: at the border of two windows, and because a few reserved requests
# do not leave, or a few leave unreserved.
MEASURED_LOW, MEASURED_HIGH = 0.97, 1.01


class SendTimes:
    """The times at which requests left, in order, without throttled ones. Not thread-safe."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def add(self, now: float, count: int) -> None:
        """Add requests that left at this time."""
        self._moments.extend([now] * count)
        while self._moments and self._moments[0] < now - REMEMBERED_SECONDS:
            self._moments.popleft()

    def take_back(self) -> None:
        """Remove the newest one, because a request was throttled; which one does not matter."""
        if self._moments:
            self._moments.pop()

    def between(self, after: float, until: float) -> int:
        """How many left after one time and not after another."""
        return bisect_right(self._moments, until) - bisect_right(self._moments, after)

    def last_but(self, count: int) -> float | None:
        """When the `count`-th newest request left; `None` = there are fewer."""
        return self._moments[-count] if 0 < count <= len(self._moments) else None


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

    @property
    def is_shut(self) -> bool:
        """Whether nothing got through for a while, as at the end of a window."""
        return self.shut_at > self.at


@dataclass(frozen=True)
class LimitRange:
    """The range that contains the limit, in requests a minute."""

    low: float
    high: float

    def below(self, bound: float) -> "LimitRange":
        """The part of the range up to a bound, or the bound itself if there is none."""
        high = min(self.high, bound)
        return LimitRange(min(self.low, high), high)


def nearest_round_number(range_: LimitRange) -> float:
    """The roundest number in a range, or its middle; people choose round limits."""
    middle = (range_.low + range_.high) / 2
    power = 10.0 ** math.ceil(math.log10(max(range_.high, 1.0)))
    while power >= 1.0:
        for step in (power, power / 2, power / 5):
            if range_.low <= (nearest := round(middle / step) * step) <= range_.high and nearest:
                return nearest
        power /= 10
    return middle


def estimate_limit(
    sent: SendTimes,
    began: float,
    shut_before: float | None,
    throttling: Throttling,
    limit: float | None,
) -> LimitRange | None:
    """
    Estimate the limit once a probe got through; `None` = no usable evidence.

    Args:
        sent: Send times, without throttled requests.
        began: When the first request left.
        shut_before: When the previous throttling ended; `None` = this is the first.
        limit: The limit as known so far, in requests a minute.
    """
    if throttling.is_shut:
        return _range_of_window(sent, began, throttling)
    since = throttling.at - (began if shut_before is None else shut_before)
    passed = sent.between(throttling.at - WINDOW_SECONDS, throttling.at)
    if since >= WINDOW_SECONDS or (limit and 0.95 * limit <= passed <= 1.02 * limit):
        return _range_of_count(passed, passed)
    if shut_before is None:
        return None  # a bucket's initial burst, or a window of which we saw only the end
    if since < LEAST_FLOW_SECONDS:
        return None  # the next throttled answer is measured from the same time
    return _range_of_flow(sent.between(shut_before, throttling.at), since)


def _range_of_count(low: int, high: int) -> LimitRange | None:
    """`None` if nothing left: the machine was suspended, or the service shut for a window."""
    if high == 0:
        return None
    return LimitRange(low * MEASURED_LOW, high * MEASURED_HIGH)


def _range_of_window(sent: SendTimes, began: float, throttling: Throttling) -> LimitRange | None:
    """Shut for a while: the window that ended had begun a minute before it opened again."""
    latest = throttling.probed_at - WINDOW_SECONDS
    low = sent.between(latest, throttling.at)
    high = sent.between(throttling.shut_at - WINDOW_SECONDS - ANSWER_DELAY_SECONDS, throttling.at)
    is_seen = latest >= began - UNSEEN_SECONDS
    return _range_of_count(low, high) if is_seen or high >= LEAST_UNSEEN_COUNT else None


def _range_of_flow(passed: int, seconds: float) -> LimitRange:
    """Open again at once, as after the previous throttling: the steady flow of a bucket."""
    high = (passed + 1) * 60 / (seconds - ANSWER_DELAY_SECONDS)
    if seconds > 0.75 * WINDOW_SECONDS:
        return LimitRange(min(passed, high), high)
    return LimitRange(max(0.8 * high, (passed - 1) * 60 / seconds), high)
