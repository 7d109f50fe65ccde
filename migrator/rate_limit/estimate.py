"""
What a refusal tells of a limit: between what and what it lies, and the likeliest number there.

Pure functions. How the service counts is unknown: in windows that follow each other, in the last
sixty seconds, or by a bucket that fills steadily. When it opens again tells which.
"""

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

WINDOW_SECONDS = 60.0
# Limits are counted by the minute; the one before it tells where a minute began.
REMEMBERED_SECONDS = 180.0
# Of a window of which we did not see so much, an earlier process may have used the most. What we
# used ourselves tells then only if it comes near the smallest limit that is documented, which is
# a hundred.
UNSEEN_SECONDS = 5.0
LEAST_TO_GO_BY = 90
# Between two refusals there is a pause of ours: what flowed for less than two of them tells more of
# the pauses than of the service.
LEAST_FLOW_SECONDS = 2.0
# Answers tell of a moment that much later than it was.
SLACK_SECONDS = 0.3
# What a minute let through is off by about so much: at the border of two windows, and because a few
# requests are claimed and do not leave, or leave and are not claimed.
MEASURED_LOW, MEASURED_HIGH = 0.97, 1.01


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


@dataclass(frozen=True)
class Throttling:
    """
    The service says "not now".

    Args:
        at: When it said so first.
        shut_at: The last moment at which it was known to let nothing through.
        probes: How many have asked since whether it lets something through, one at a time.
        probed_at: When the newest of those left.
    """

    at: float
    shut_at: float
    probes: int = 0
    probed_at: float = 0.0

    @property
    def is_shut(self) -> bool:
        """Whether it was seen to let nothing through for a while, as a window does."""
        return self.shut_at > self.at


@dataclass(frozen=True)
class LimitRange:
    """Requests a minute: the limit is no less and no more."""

    low: float
    high: float

    def below(self, bound: float) -> "LimitRange":
        """The part of it that is not above a bound, or the bound where there is none."""
        high = min(self.high, bound)
        return LimitRange(min(self.low, high), high)


def nearest_round_number(range_: LimitRange) -> float:
    """The roundest number in a range: people choose limits. Its middle where none is round."""
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
    What is known once a probe got through; `None` = nothing that is worth a change.

    Args:
        left: Departures, without what was refused.
        began: When the first one left.
        shut_before: The end of the refusal before this one; `None` = this is the first.
    """
    if refusal.is_shut:
        return _of_window(left, began, refusal)
    since = refusal.at - (began if shut_before is None else shut_before)
    let_through = left.between(refusal.at - WINDOW_SECONDS, refusal.at)
    if since >= WINDOW_SECONDS or (limit and 0.95 * limit <= let_through <= 1.02 * limit):
        return _measured(let_through, let_through)
    if shut_before is None:
        return None  # a bucket's first filling, or a window that we saw the end of only
    if since < LEAST_FLOW_SECONDS:
        return None  # the next refusal is measured from the same moment
    return _of_flow(left.between(shut_before, refusal.at), since)


def _measured(low: int, high: int) -> LimitRange | None:
    """Nothing at all says nothing: it was asleep, or shut for longer than a window."""
    if high == 0:
        return None
    return LimitRange(low * MEASURED_LOW, high * MEASURED_HIGH)


def _of_window(left: SendTimes, began: float, refusal: Throttling) -> LimitRange | None:
    """It was shut for a while: the window that opened then had begun a minute earlier."""
    latest = refusal.probed_at - WINDOW_SECONDS
    low = left.between(latest, refusal.at)
    high = left.between(refusal.shut_at - WINDOW_SECONDS - SLACK_SECONDS, refusal.at)
    is_seen = latest >= began - UNSEEN_SECONDS
    return _measured(low, high) if is_seen or high >= LEAST_TO_GO_BY else None


def _of_flow(let_through: int, seconds: float) -> LimitRange:
    """It opened at once, as it had after the refusal before: what it lets through, it lets flow."""
    high = (let_through + 1) * 60 / (seconds - SLACK_SECONDS)
    if seconds > 0.75 * WINDOW_SECONDS:
        return LimitRange(min(let_through, high), high)
    return LimitRange(max(0.8 * high, (let_through - 1) * 60 / seconds), high)
