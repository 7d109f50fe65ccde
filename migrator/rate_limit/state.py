"""
The rate at which requests may leave, and the changes that sends and throttled answers make to it.

Pure functions: state in, state or number out. Times are seconds on a monotonic clock.
"""

from dataclasses import dataclass, replace

# The rate that the guide found safe (section 6), used until something better is known.
SAFE_PER_MINUTE = 400.0
SLOWEST_PER_MINUTE = 6.0
# Slightly below the limit, so that latency and clock differences do not matter.
SHARE_OF_LIMIT = 0.995
# A late wake-up may be made up for, but not a whole pause: this much at most.
CATCH_UP_SECONDS = 0.5
# A throttling service is probed by one request at a time: soon, then after one second, two, four …
PAUSE_WHEN_THROTTLED_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
# A larger share of throttled answers is never taken for chance.
LARGEST_CHANCE = 0.04
# `Retry-After` is in whole seconds, rounded up.
ROUNDED_UP_SECONDS = 1.0
# How long a limit is held before a higher rate is tried: after a change, and if it was just found
# or is known from an earlier run. Each trial that confirmed it doubles this.
SHORTEST_HOLD_SECONDS, FIRST_HOLD_SECONDS, LONGEST_HOLD_SECONDS = 30.0, 300.0, 600.0


@dataclass(frozen=True)
class Throttling:
    """
    A pause, because the service throttles.

    Args:
        at: When it began.
        shut_at: The last time at which the service was known to let nothing through.
        probed_at: When the newest single request left that is to see whether it is open again;
            `None` = none did.
        refused: How many of those were throttled, too.
    """

    at: float
    shut_at: float
    probed_at: float | None = None
    refused: int = 0


@dataclass(frozen=True)
class HigherLimit:
    """A limit above the present one, and how many of how many answers were throttled at it."""

    limit: float
    throttled: int
    answers: int


@dataclass(frozen=True)
class RateState:
    """
    The state of a rate limiter; `discovery` explains how it changes.

    Args:
        per_minute: The rate; `None` = unlimited, as fast as answers come.
        ceiling: A rate set by the user, never exceeded; `None` = discover the limit.
        limit: The discovered limit in requests a minute; `None` = not found yet: climb.
        next_at: When the next request may leave.
        asked_until: Until when the service asked to wait; other answers do not shorten it.
        in_a_row: Throttled answers since the last other one.
        throttling: The pause; `None` = there is none.
        began: When the first request left.
        since: When the present rate was set.
        idle_at: When the workers were last found to be the bottleneck at this rate.
        trial_step: How often the rate was raised above `limit` since it was held; 0 = it is held.
        hold_seconds: How long the limit is held.
        above: The limit that was lowered a little, to see whether less is throttled then.
        chance: The share of requests that is throttled at any rate, as far as known.
    """

    per_minute: float | None = SAFE_PER_MINUTE
    ceiling: float | None = None
    limit: float | None = None
    next_at: float = 0.0
    asked_until: float = 0.0
    in_a_row: int = 0
    throttling: Throttling | None = None
    began: float | None = None
    since: float = 0.0
    idle_at: float = 0.0
    trial_step: int = 0
    hold_seconds: float = FIRST_HOLD_SECONDS
    above: HigherLimit | None = None
    chance: float = 0.0

    @classmethod
    def automatic(cls, found: float | None = None) -> "RateState":
        """Discover the limit, beginning with what an earlier run found or at the safe rate."""
        if found is None:
            return cls()
        limit = max(found, SLOWEST_PER_MINUTE)
        return cls(limit * SHARE_OF_LIMIT, limit=limit)

    @classmethod
    def unlimited(cls) -> "RateState":
        """As fast as answers come, slowed down only by throttling."""
        return cls(per_minute=None)

    @classmethod
    def fixed(cls, per_minute: float) -> "RateState":
        """A rate set by the user, never exceeded."""
        return cls(per_minute=per_minute, ceiling=per_minute, chance=LARGEST_CHANCE)


def available(state: RateState, now: float, at_most: int) -> int:
    """How many requests may leave now."""
    if now < state.next_at or at_most <= 0:
        return 0
    if state.throttling is not None:
        return 1
    if state.per_minute is None:
        return at_most
    behind = min(now - state.next_at, _catch_up_seconds(state))
    return min(at_most, 1 + int(behind * state.per_minute / 60))


def reserve(state: RateState, now: float, count: int) -> RateState:
    """The state after `count` requests left now."""
    if count == 0:
        return state
    if state.began is None:
        state = replace(state, began=now, since=now)
    if state.throttling is not None:
        # Its answer may get lost, so the next probe is timed already.
        gap = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(state.throttling.refused, 16))
        if state.ceiling is not None:
            gap = max(gap, 60 / state.ceiling)
        return replace(
            state, throttling=replace(state.throttling, probed_at=now), next_at=now + gap
        )
    if state.per_minute is None:
        return state
    begin = max(state.next_at, now - _catch_up_seconds(state))
    return replace(state, next_at=begin + count * 60 / state.per_minute)


def _catch_up_seconds(state: RateState) -> float:
    """How much lost time to make up for: none at a rate set by the user, a hard limit."""
    return CATCH_UP_SECONDS if state.ceiling is None else 0.0


def throttle(state: RateState, now: float, asked_seconds: float | None) -> RateState:
    """
    The state after a throttled answer: nothing leaves for a while, then one probe at a time.

    A single one that asks for no wait does not pause: it may be chance.
    """
    state = replace(state, in_a_row=state.in_a_row + 1)
    throttling, pause = state.throttling, asked_seconds or 0.0
    if throttling is None:
        if asked_seconds is None:
            if state.in_a_row == 1:
                return state
            pause = PAUSE_WHEN_THROTTLED_SECONDS
        throttling = Throttling(now, shut_at=now)
    elif throttling.probed_at is not None:
        shut_at = max(throttling.shut_at, throttling.probed_at)
        throttling = replace(throttling, shut_at=shut_at, refused=throttling.refused + 1)
    # Requests that left together are throttled together; only the first one sets the pause.
    shut_at = max(throttling.shut_at, now + pause - ROUNDED_UP_SECONDS if asked_seconds else 0.0)
    throttling = replace(throttling, shut_at=shut_at)
    state = replace(state, throttling=throttling, next_at=max(state.next_at, now + pause))
    return state if asked_seconds is None else asked_to_wait(state, now + asked_seconds)


def asked_to_wait(state: RateState, until: float) -> RateState:
    """The state after the service asked for nothing before this time."""
    return replace(
        state, next_at=max(state.next_at, until), asked_until=max(state.asked_until, until)
    )
