"""
What a throttled answer says about the limit: a range that contains it, from recent send times.

How the service counts is unknown: in consecutive windows, in the last sixty seconds, or by a token
bucket that refills steadily. When it opens again tells which. Times are seconds on a monotonic
clock.
"""

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

WINDOW_SECONDS = 60.0
# Limits are counted by the minute; the minute before tells where a window began.
REMEMBERED_SECONDS = 180.0
# If more than this of a window was before our first request, an earlier process may have used most
# of it. Our own share then counts only if it comes near the smallest documented limit, a hundred.
UNSEEN_SECONDS = 5.0
LEAST_TO_GO_BY = 90
# We pause between two throttled answers: a flow shorter than two pauses says more about the pauses
# than about the service.
LEAST_FLOW_SECONDS = 2.0
# How much later than the event an answer arrives.
SLACK_SECONDS = 0.3
# The error of a measured minute: at the border of two windows, and because a few requests are
# claimed and do not leave, or leave unclaimed.
MEASURED_LOW, MEASURED_HIGH = 0.97, 1.01


class SendTimes:
    """
    The times at which requests left, in order, without throttled ones. Not thread-safe.
    """

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def add(self, now: float, count: int) -> None:
        """Add requests that left at this time."""
        self._moments.extend([now] * count)
        while self._moments and self._moments[0] < now - REMEMBERED_SECONDS:
            self._moments.popleft()

    def take_back(self) -> None:
        """Remove the newest one: a request was throttled. Which one it was does not matter."""
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
    The service is throttling.

    Args:
        at: When it first answered so.
        shut_at: The last time at which it was known to let nothing through.
        probes: Single requests sent since then, to see whether it is open again.
        probed_at: When the newest probe left.
    """

    at: float
    shut_at: float
    probes: int = 0
    probed_at: float = 0.0

    @property
    def is_shut(self) -> bool:
        """Whether it let nothing through for a while, as the end of a window does."""
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
    """The roundest number in a range, since people choose limits; else the middle."""
    middle = (range_.low + range_.high) / 2
    power = 10.0 ** math.ceil(math.log10(max(range_.high, 1.0)))
    while power >= 1.0:
        for step in (power, power / 2, power / 5):
            if range_.low <= (nearest := round(middle / step) * step) <= range_.high and nearest:
                return nearest
        power /= 10
    return middle


def evidence(
    left: SendTimes,
    began: float,
    shut_before: float | None,
    refusal: Throttling,
    limit: float | None,
) -> LimitRange | None:
    """
    The range of the limit, once a probe got through; `None` = no usable evidence.

    Args:
        left: Send times, without throttled requests.
        began: When the first request left.
        shut_before: When the previous throttling ended; `None` = this is the first.
        limit: The limit as known so far, in requests a minute.
    """
    if refusal.is_shut:
        return _of_window(left, began, refusal)
    since = refusal.at - (began if shut_before is None else shut_before)
    let_through = left.between(refusal.at - WINDOW_SECONDS, refusal.at)
    if since >= WINDOW_SECONDS or (limit and 0.95 * limit <= let_through <= 1.02 * limit):
        return _measured(let_through, let_through)
    if shut_before is None:
        return None  # a bucket's initial burst, or a window of which we saw only the end
    if since < LEAST_FLOW_SECONDS:
        return None  # the next throttled answer is measured from the same time
    return _of_flow(left.between(shut_before, refusal.at), since)


def _measured(low: int, high: int) -> LimitRange | None:
    """If nothing left, there is no evidence: suspended, or closed for more than a window."""
    if high == 0:
        return None
    return LimitRange(low * MEASURED_LOW, high * MEASURED_HIGH)


def _of_window(left: SendTimes, began: float, refusal: Throttling) -> LimitRange | None:
    """Closed for a while: the window that ended had begun a minute before it opened again."""
    latest = refusal.probed_at - WINDOW_SECONDS
    low = left.between(latest, refusal.at)
    high = left.between(refusal.shut_at - WINDOW_SECONDS - SLACK_SECONDS, refusal.at)
    is_seen = latest >= began - UNSEEN_SECONDS
    return _measured(low, high) if is_seen or high >= LEAST_TO_GO_BY else None


def _of_flow(let_through: int, seconds: float) -> LimitRange:
    """Open again at once, as after the previous throttling: a steady flow, as from a bucket."""
    high = (let_through + 1) * 60 / (seconds - SLACK_SECONDS)
    if seconds > 0.75 * WINDOW_SECONDS:
        return LimitRange(min(let_through, high), high)
    return LimitRange(max(0.8 * high, (let_through - 1) * 60 / seconds), high)
