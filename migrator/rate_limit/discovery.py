"""
Discovers a rate limit that the service does not document: climb, hold, try, fall.

If answers carry rate-limit headers, there is nothing to discover: the requests that remain are
spread evenly over the time until the window resets. Otherwise:

- Climb. Start at the safe rate and go 25 % faster every five seconds, up to the largest documented
  limit, and stay there for a minute. A step is taken only if requests really left at the current
  rate; if the workers are the bottleneck, the rate says nothing about the service.
- Hold half a percent below the limit found, for a quarter of the time that it has lasted already:
  one that changes is tried often, one that stays hardly ever.
- Try. Run 2 % faster, then 4 %, 8 % … more, until throttled.

A throttled answer pauses the sends until a probe gets through. What it means:

- Shut for a second or more: a window is used up, and what it let through is the limit. The climb
  ends at the roundest number in the range, because people choose round limits.
- Open again at once: a bucket, a window of a second, or chance. Two, and 3 % of a minute's
  requests, are tolerated. Beyond that, what is let through is the limit; a trial never lowers it.
- Fewer while holding: is the limit a little lower? A fall of 1 % follows each, three at most. If
  they go on, speed is not the cause: the falls are undone, and further ones count as chance until
  three minutes pass without.

A rate set by the user (`ceiling`) is not a guess: throttling that is not tolerated slows it by a
fifth, and each answer restores half a request a minute.

All functions are pure: `state` is the state before, the result is the state after. Times are
seconds on a monotonic clock.
"""

from dataclasses import replace

from migrator.rate_limit.estimate import (
    MEASURED_LOW,
    WINDOW_SECONDS,
    History,
    Throttling,
    flow_beyond,
    nearest_round_number,
    window_range,
)
from migrator.rate_limit.state import (
    LONGEST_PAUSE_SECONDS,
    SHARE_OF_LIMIT,
    SLOWEST_PER_MINUTE,
    RateState,
)

# The largest documented limit. The climb to it takes less than half a minute.
LARGEST_PER_MINUTE = 1000.0
STEP_SECONDS = 5.0
CLIMB_FACTOR = 1.25
# Below this share of the rate, the workers are the bottleneck.
LEAST_USED_SHARE = 0.8
HOLD_SHARE = 0.25
SHORTEST_HOLD_SECONDS, LONGEST_HOLD_SECONDS = 30.0, 600.0
TRIAL_STEP = 0.02
# Longer at first, so that most trials of a limit that stays exceed one window, by very little.
FIRST_TRIAL_SECONDS, LATER_TRIAL_SECONDS = 60.0, 30.0
# A limit that differs by more than this from the one before has changed.
CHANGED_SHARE = 0.05
SHUT_SECONDS = 1.0
# If a probe is later than this, the machine was suspended, and no window is left to catch up with.
LATEST_PROBE_SECONDS = 2 * LONGEST_PAUSE_SECONDS
# Three falls reach any limit that the tolerated share hides.
TOLERATED_COUNT, TOLERATED_SHARE = 2, 0.03
FALLS = 3
FALL_FACTOR = 0.99
# Throttling this soon after a change of the rate may be due to the rate before.
SETTLE_SECONDS = 10.0
QUIET_SECONDS = 180.0
# A rate set by the user: slowed by throttling, and restored a little with each answer.
SLOW_DOWN_FACTOR = 0.8
SPEED_UP_PER_MINUTE = 0.5


def on_response(
    state: RateState,
    now: float,
    limit: int | None,
    remaining: int | None,
    reset_in: float | None,
    history: History,
) -> RateState:
    """
    The state after an answer that was not throttled.

    Args:
        limit, remaining, reset_in: From the headers of the answer; `None` = not stated.
    """
    if state.throttling is not None and state.throttling.probes:
        state = _on_reopened(state, state.throttling, now, history)
    if state.per_minute is None or state.throttling is not None:
        return state
    if limit is None or remaining is None or reset_in is None:
        if state.ceiling is not None:
            return _with_rate(state, state.per_minute + SPEED_UP_PER_MINUTE)
        return _discover(state, state.per_minute, now, history)
    # Headers make discovery unnecessary.
    stated = replace(state, limit=None, trial_step=0, since=now)
    if remaining <= 0:
        return replace(stated, next_at=max(state.next_at, now + reset_in))
    return _with_rate(stated, 60 * remaining / max(reset_in, 1.0))


def _with_rate(state: RateState, per_minute: float) -> RateState:
    per_minute = max(SLOWEST_PER_MINUTE, per_minute)
    capped = per_minute if state.ceiling is None else min(per_minute, state.ceiling)
    return replace(state, per_minute=capped)


def _hold(state: RateState, limit: float, now: float) -> RateState:
    limit = max(SLOWEST_PER_MINUTE, limit)
    held = replace(state, limit=limit, trial_step=0, since=now, held_at=now, catch_up_factor=1.0)
    return _with_rate(held, limit * SHARE_OF_LIMIT)


# Upward


def _discover(state: RateState, per_minute: float, now: float, history: History) -> RateState:
    top = LARGEST_PER_MINUTE * SHARE_OF_LIMIT
    if now - state.since < _stage_seconds(state, per_minute >= top):
        return state
    seconds = min(now - state.since, WINDOW_SECONDS)
    if history.sent.between(now - seconds, now) < LEAST_USED_SHARE * seconds * per_minute / 60:
        return replace(state, since=now)
    if state.limit is None:
        if per_minute >= top:
            return _hold(state, LARGEST_PER_MINUTE, now)
        return _with_rate(replace(state, since=now), min(per_minute * CLIMB_FACTOR, top))
    if not state.trial_step and not history.throttled.between(now - QUIET_SECONDS, now):
        state = replace(state, falls=0, is_chance=False)
    factor = min(CLIMB_FACTOR, 1 + TRIAL_STEP * 2**state.trial_step)
    trying = replace(state, trial_step=state.trial_step + 1, since=now, catch_up_factor=1.0)
    return _with_rate(trying, max(per_minute * factor, per_minute + 2))


def _stage_seconds(state: RateState, is_at_top: bool) -> float:
    if state.limit is None:
        return WINDOW_SECONDS if is_at_top else STEP_SECONDS
    lasted = HOLD_SHARE * (state.held_at - state.steady_since)
    hold = min(LONGEST_HOLD_SECONDS, max(SHORTEST_HOLD_SECONDS, lasted))
    if not state.trial_step:
        return hold
    return min(FIRST_TRIAL_SECONDS if state.trial_step == 1 else LATER_TRIAL_SECONDS, hold / 2)


# Downward


def _on_reopened(
    state: RateState, throttling: Throttling, now: float, history: History
) -> RateState:
    """The state after a probe got through."""
    opened = replace(state, throttling=None, next_at=now)
    if state.per_minute is None:
        return opened
    began = now if state.began is None else state.began
    is_shut = throttling.shut_at - throttling.at >= SHUT_SECONDS
    after = max(state.held_at, now - WINDOW_SECONDS)
    tolerated = _tolerated(state, after, now, history)
    flow = None if is_shut else flow_beyond(history, tolerated, state.held_at, began)
    if state.ceiling is not None:
        if not is_shut and flow is None:
            return opened
        return _with_rate(replace(opened, held_at=now), state.per_minute * SLOW_DOWN_FACTOR)
    if is_shut:
        range_ = window_range(history.sent, began, throttling)
        if range_ is None:
            return replace(opened, since=now)
        return _catch_up_window(_measured(opened, *range_, now), throttling)
    limit = state.limit
    if limit is None:
        if flow is None:
            return opened
        return _measured(opened, flow * MEASURED_LOW, flow * (1 + TOLERATED_SHARE), now)
    if state.trial_step == 1 and not state.is_chance:
        return _hold(opened, limit, now)
    if flow is not None:
        if state.trial_step:
            return _changed(opened, max(limit, flow), now)
        return _measured(opened, flow * MEASURED_LOW, flow * (1 + TOLERATED_SHARE), now)
    if state.trial_step or state.is_chance or now - state.held_at < SETTLE_SECONDS:
        return opened
    return _fall(opened, limit, now)


def _catch_up_window(state: RateState, throttling: Throttling) -> RateState:
    """Speed up for the rest of a window that had opened before the probe saw it."""
    late = throttling.probed_at - throttling.shut_at
    if not 0 < late <= LATEST_PROBE_SECONDS:
        return state
    return replace(state, catch_up_factor=WINDOW_SECONDS / (WINDOW_SECONDS - late))


def _tolerated(state: RateState, after: float, now: float, history: History) -> int:
    """How many throttled answers may be due to chance; few in a trial after a quiet hold."""
    if state.trial_step and not state.is_chance:
        return TOLERATED_COUNT
    return TOLERATED_COUNT + int(TOLERATED_SHARE * history.sent.between(after, now))


def _measured(state: RateState, low: float, high: float, now: float) -> RateState:
    """The limit is in this range: keep the known one if that is, too."""
    limit = state.limit
    if limit is None:
        return _hold(state, nearest_round_number(low, high), now)
    found = limit if low <= limit <= high else nearest_round_number(low, high)
    if found >= limit and not state.trial_step:
        return _fall(state, limit, now)
    return _changed(state, found, now)


def _changed(state: RateState, found: float, now: float) -> RateState:
    if abs(found - (state.limit or 0.0)) > CHANGED_SHARE * found:
        state = replace(state, steady_since=now)
    return _hold(replace(state, falls=0), found, now)


def _fall(state: RateState, limit: float, now: float) -> RateState:
    if state.falls < FALLS:
        return _hold(replace(state, falls=state.falls + 1), limit * FALL_FACTOR, now)
    return _hold(replace(state, falls=0, is_chance=True), limit / FALL_FACTOR**FALLS, now)
