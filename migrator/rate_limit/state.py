"""
The rate at which requests may leave, and the changes that sends and throttled answers make to it.

Pure functions: state in, state or number out. Times are seconds on a monotonic clock.
"""

from dataclasses import dataclass, replace

from migrator.rate_limit.estimate import Throttling

# The rate that the guide found safe (section 6), used until something better is known.
SAFE_PER_MINUTE = 400.0
SLOWEST_PER_MINUTE = 6.0
# Slightly below the limit, so that latency and clock differences do not matter.
SHARE_OF_LIMIT = 0.995
# A late wake-up may be made up for, but not a whole pause: this much at most.
CATCH_UP_SECONDS = 0.5
# A throttling service is probed by one request at a time: soon, because it may have been chance,
# then after one second, two, four …
PAUSE_WHEN_THROTTLED_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
# `Retry-After` is in whole seconds, rounded up.
ROUNDED_UP_SECONDS = 1.0
# How long a limit is taken to have lasted when it was measured, or is known from an earlier run.
TRUSTED_SECONDS = 1200.0


@dataclass(frozen=True)
class RateState:
    """
    The state of a rate limiter; `discovery` explains how it changes.

    Args:
        per_minute: The rate; `None` = unlimited, as fast as answers come.
        ceiling: A rate set by the user, never exceeded; `None` = discover the limit.
        limit: The discovered limit in requests a minute; `None` = not found yet: climb.
        next_at: When the next request may leave.
        throttling: The service is throttling now; `None` = it is not.
        began: When the first request left.
        trial_step: How often the rate was raised above `limit` since it was held; 0 = it is held.
        since: When the current step or hold began.
        held_at: When the rate was last set to `limit`.
        steady_since: Since when `limit` is about what it is.
        catch_up_factor: How much faster requests run to use up a window that opened early.
        falls: How often `limit` was lowered a little, without less throttling so far.
        is_chance: Whether throttled answers come at slower rates, too.
    """

    per_minute: float | None = SAFE_PER_MINUTE
    ceiling: float | None = None
    limit: float | None = None
    next_at: float = 0.0
    throttling: Throttling | None = None
    began: float | None = None
    trial_step: int = 0
    since: float = 0.0
    held_at: float = 0.0
    steady_since: float = 0.0
    catch_up_factor: float = 1.0
    falls: int = 0
    is_chance: bool = False

    @classmethod
    def automatic(cls, found: float | None = None) -> "RateState":
        """Discover the limit, beginning with what an earlier run found or at the safe rate."""
        if found is None:
            return cls()
        return cls(per_minute=found * SHARE_OF_LIMIT, limit=found)

    @classmethod
    def unlimited(cls) -> "RateState":
        """As fast as answers come, slowed down only by throttling."""
        return cls(per_minute=None)

    @classmethod
    def fixed(cls, per_minute: float) -> "RateState":
        """A rate set by the user, never exceeded."""
        return cls(per_minute=per_minute, ceiling=per_minute)


def available(state: RateState, now: float, at_most: int) -> int:
    """How many requests may leave now."""
    if now < state.next_at or at_most <= 0:
        return 0
    if state.throttling is not None:
        return 1
    if state.per_minute is None:
        return at_most
    behind = min(now - state.next_at, _catch_up_seconds(state))
    return min(at_most, 1 + int(behind * state.per_minute * state.catch_up_factor / 60))


def reserve(state: RateState, now: float, count: int) -> RateState:
    """The state after `count` requests left now."""
    if count == 0:
        return state
    if state.began is None:
        known = now - TRUSTED_SECONDS
        state = replace(state, began=now, since=now, held_at=now, steady_since=known)
    if state.throttling is not None:
        return _after_probe(state, now, state.throttling)
    if state.per_minute is None:
        return state
    begin = max(state.next_at, now - _catch_up_seconds(state))
    return replace(state, next_at=begin + count * 60 / (state.per_minute * state.catch_up_factor))


def _after_probe(state: RateState, now: float, throttling: Throttling) -> RateState:
    """The state after a probe left. Its answer may get lost, so the next one is timed already."""
    asked = replace(throttling, probes=throttling.probes + 1, probed_at=now)
    gap = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(throttling.probes, 16))
    return replace(state, throttling=asked, next_at=now + gap)


def _catch_up_seconds(state: RateState) -> float:
    """How much lost time to make up for: none at a rate set by the user, a hard limit."""
    return CATCH_UP_SECONDS if state.ceiling is None else 0.0


def throttle(state: RateState, now: float, asked_seconds: float | None) -> RateState:
    """The state after a throttled answer: nothing leaves for a while, then one probe at a time."""
    throttling, pause = state.throttling, asked_seconds or 0.0
    if throttling is None:
        throttling = Throttling(now, shut_at=now)
        pause = PAUSE_WHEN_THROTTLED_SECONDS if asked_seconds is None else asked_seconds
    elif throttling.probes:
        throttling = replace(throttling, shut_at=max(throttling.shut_at, throttling.probed_at))
    # Requests that left together are throttled together; only the first one sets the pause.
    shut_at = max(throttling.shut_at, now + pause - ROUNDED_UP_SECONDS if asked_seconds else 0.0)
    throttling = replace(throttling, shut_at=shut_at)
    return replace(state, throttling=throttling, next_at=max(state.next_at, now + pause))
