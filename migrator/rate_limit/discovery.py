"""
Discovers a rate limit that the service does not document: climb, hold, try, fall.

If answers carry rate-limit headers, there is nothing to discover: the requests that remain are
spread evenly over the time until the window resets. Otherwise:

- Climb. Start at the safe rate and go 25 % faster every five seconds, up to the largest documented
  limit, and stay there for a minute. A step is taken only if requests really left at the current
  rate; if the workers are the bottleneck, the rate says nothing about the service.
- Throttled. Sends stop, and single probes test whether the service is open again (`state`). When a
  probe gets through, the send times and the pause give a range for the limit (`estimate`). The
  climb ends at the roundest number in that range, because people choose round limits.
- Hold. The rate stays half a percent below the limit for minutes (`hold_seconds`).
- Try. Then it runs 2 % above the limit for 90 seconds, longer than any window of a minute. If
  nothing is throttled, the limit was raised: climb again. If the trial is throttled near the limit,
  the limit is confirmed, and the time until the next trial doubles.
- Fall. If throttled while holding, the limit stays if the estimate agrees with it. Otherwise, or if
  throttled again within two minutes, it falls to the estimate, and at least by 1 %. After three
  falls that total a fifth or more, further throttling is not about speed: the limit is restored to
  its value before the falls.

If a window had opened before a probe found it open, requests run faster for the rest of that window
(`catch_up_factor`), so that its share is not lost.

A rate set by the user (`ceiling`) is not a guess: throttling slows it by a fifth, and each answer
restores half a request a minute.

All functions are pure: `state` is the state before, the result is the state after. Times are
seconds on a monotonic clock.
"""

from dataclasses import replace

from migrator.rate_limit.estimate import (
    WINDOW_SECONDS,
    LimitRange,
    SendTimes,
    Throttling,
    estimate_limit,
    nearest_round_number,
)
from migrator.rate_limit.state import (
    HOLD_SECONDS,
    LONGEST_PAUSE_SECONDS,
    SHARE_OF_LIMIT,
    SLOWEST_PER_MINUTE,
    RateState,
)

# The largest documented limit.
LARGEST_PER_MINUTE = 1000.0
# The climb from the safe rate to the largest takes less than half a minute.
STEP_SECONDS = 5.0
CLIMB_FACTOR = 1.25
# Below this share of the rate, the workers are the bottleneck.
LEAST_USED_SHARE = 0.8
# A trial: this much above the limit, for longer than any window of a minute.
TRIAL_FACTOR = 1.02
TRIAL_SECONDS = 90.0
# A throttled trial confirms the limit if at least this share of it was let through.
CONFIRMING_SHARE = 0.97
# A limit throttled twice is too high, even if the estimate agrees: it falls at least so far.
FALL_FACTOR = 0.99
# If a probe is later than this, the machine was suspended, and no window is left to catch up with.
LATEST_PROBE_SECONDS = 2 * LONGEST_PAUSE_SECONDS
# After a fall, the next trial is sooner: another user of the account may have taken the difference.
SHORT_HOLD_SECONDS = 60.0
LONGEST_HOLD_SECONDS = 600.0
# After this many falls, to this share of the first limit, throttling is not about speed.
FALLS_TO_UNDO = 3
UNDONE_FALL_SHARE = 0.8
# A rate set by the user: slowed by throttling, and restored a little with each answer.
SLOW_DOWN_FACTOR = 0.8
SPEED_UP_PER_MINUTE = 0.5


def on_response(
    state: RateState,
    now: float,
    limit: int | None,
    remaining: int | None,
    reset_in: float | None,
    sent: SendTimes,
) -> RateState:
    """
    The state after an answer that was not throttled.

    Args:
        limit, remaining, reset_in: From the headers of the answer; `None` = not stated.
        sent: When requests left.
    """
    if state.throttling is not None and state.throttling.probes:
        state = _on_reopened(state, state.throttling, now, sent)
    if state.per_minute is None or state.throttling is not None:
        return state
    if limit is None or remaining is None or reset_in is None:
        if state.ceiling is not None:
            return _with_rate(state, state.per_minute + SPEED_UP_PER_MINUTE)
        return _discover(state, state.per_minute, now, sent)
    # Headers make discovery unnecessary.
    stated = replace(state, limit=None, is_climbing=False, is_trial=False, since=now)
    if remaining <= 0:
        return replace(stated, next_at=max(state.next_at, now + reset_in))
    return _with_rate(stated, 60 * remaining / max(reset_in, 1.0))


def _with_rate(state: RateState, per_minute: float) -> RateState:
    per_minute = max(SLOWEST_PER_MINUTE, per_minute)
    capped = per_minute if state.ceiling is None else min(per_minute, state.ceiling)
    return replace(state, per_minute=capped)


# Upward


def _discover(state: RateState, per_minute: float, now: float, sent: SendTimes) -> RateState:
    if now - state.since < _stage_seconds(state):
        return state
    seconds = min(now - state.since, WINDOW_SECONDS)
    if sent.between(now - seconds, now) < LEAST_USED_SHARE * seconds * per_minute / 60:
        return replace(state, since=now)
    if state.is_climbing:
        return _step(state, per_minute, now)
    if state.is_trial:
        return _resume_climb(state, per_minute, now)
    return _begin_trial(state, per_minute, now)


def _stage_seconds(state: RateState) -> float:
    if state.is_climbing:
        return WINDOW_SECONDS if _is_at_top(state) else STEP_SECONDS
    return TRIAL_SECONDS if state.is_trial else state.hold_seconds


def _climb_target(state: RateState) -> float:
    return state.climb_to or LARGEST_PER_MINUTE


def _is_at_top(state: RateState) -> bool:
    return (state.per_minute or 0.0) >= _climb_target(state) * SHARE_OF_LIMIT


def _step(state: RateState, per_minute: float, now: float) -> RateState:
    if _is_at_top(state):
        return _hold(state, _climb_target(state), now)
    faster = min(per_minute * CLIMB_FACTOR, _climb_target(state) * SHARE_OF_LIMIT)
    return _with_rate(replace(state, since=now), faster)


def _begin_trial(state: RateState, per_minute: float, now: float) -> RateState:
    limit = state.limit or per_minute
    # Nothing was throttled while holding: the falls so far were right.
    trying = replace(state, limit=limit, is_trial=True, since=now, catch_up_factor=1.0, falls=0)
    return _with_rate(trying, max(limit * TRIAL_FACTOR, limit + 2))


def _resume_climb(state: RateState, per_minute: float, now: float) -> RateState:
    """A trial was not throttled: the limit was raised, by an unknown amount."""
    climb_to = max(LARGEST_PER_MINUTE, 2 * per_minute)
    return replace(
        state, limit=per_minute, is_trial=False, is_climbing=True, climb_to=climb_to, since=now
    )


def _hold(
    state: RateState, limit: float, now: float, hold_seconds: float = HOLD_SECONDS
) -> RateState:
    holding = replace(state, is_climbing=False, is_trial=False, catch_up_factor=1.0)
    limited = replace(
        holding, limit=max(SLOWEST_PER_MINUTE, limit), since=now, hold_seconds=hold_seconds
    )
    return _with_rate(limited, limit * SHARE_OF_LIMIT)


# Downward


def _on_reopened(
    state: RateState, throttling: Throttling, now: float, sent: SendTimes
) -> RateState:
    """The state after a probe got through, with the limit corrected by the estimate."""
    opened = replace(state, throttling=None, shut_at=_measure_from(state, throttling), next_at=now)
    if state.per_minute is None:
        return opened
    if state.ceiling is not None:
        return _with_rate(opened, state.per_minute * SLOW_DOWN_FACTOR)
    found = estimate_limit(sent, _began(state, now), state.shut_at, throttling, state.limit)
    if found is None:
        return replace(opened, since=now)
    if state.limit is None or state.is_climbing:
        held = _hold(opened, nearest_round_number(found), now)
    elif state.is_trial and found.high >= CONFIRMING_SHARE * state.limit:
        # Expected: the limit did not fall.
        hold_seconds = min(2 * state.hold_seconds, LONGEST_HOLD_SECONDS)
        held = _hold(replace(opened, shut_at=state.shut_at), state.limit, now, hold_seconds)
    else:
        is_again = _is_repeated(state, throttling)
        held = _reconsider(opened, state.limit, found, now, throttling, is_again)
    return _catch_up_window(held, throttling)


def _measure_from(state: RateState, throttling: Throttling) -> float:
    """The time from which the flow of a token bucket is measured: when it was last empty."""
    before = state.shut_at
    if throttling.is_shut or before is None or throttling.at - before >= WINDOW_SECONDS:
        return throttling.shut_at
    return before


def _catch_up_window(state: RateState, throttling: Throttling) -> RateState:
    """Speed up for the rest of a window that had opened before the probe saw it."""
    late = throttling.probed_at - throttling.shut_at
    if not throttling.is_shut or not 0 < late <= LATEST_PROBE_SECONDS:
        return state
    return replace(state, catch_up_factor=WINDOW_SECONDS / (WINDOW_SECONDS - late))


def _began(state: RateState, now: float) -> float:
    return now if state.began is None else state.began


def _is_repeated(state: RateState, throttling: Throttling) -> bool:
    return state.shut_at is not None and throttling.at - state.shut_at < 2 * WINDOW_SECONDS


def _reconsider(
    state: RateState,
    limit: float,
    found: LimitRange,
    now: float,
    throttling: Throttling,
    is_again: bool,
) -> RateState:
    """Keep the known limit, lower it, or undo the falls if speed is not the cause."""
    below = limit * FALL_FACTOR
    if limit <= SLOWEST_PER_MINUTE or (found.high >= below and not is_again):
        return _hold(state, limit, now, state.hold_seconds)
    if state.falls >= FALLS_TO_UNDO and limit <= UNDONE_FALL_SHARE * state.fell_from:
        # Throttled at random or for another reason: a slower rate gains nothing.
        return replace(_hold(state, state.fell_from, now, state.hold_seconds), falls=0)
    hold_seconds = state.hold_seconds if is_again else SHORT_HOLD_SECONDS
    fallen = _record_fall(state, limit, throttling)
    return _hold(fallen, nearest_round_number(found.below(below)), now, hold_seconds)


def _record_fall(state: RateState, limit: float, throttling: Throttling) -> RateState:
    """Count a fall that may have to be undone; one measured by a whole window is certain."""
    if throttling.is_shut:
        return replace(state, falls=0)
    fell_from = state.fell_from if state.falls else limit
    return replace(state, falls=state.falls + 1, fell_from=fell_from)
