"""
Discovers a rate limit that the service does not document: climb, hold, try, fall.

If answers carry rate-limit headers, there is nothing to discover: the requests that remain are
spread evenly over the time until the window resets. Otherwise:

- Climb. Start at the safe rate and go 25 % faster every five seconds, up to the largest documented
  limit, and stay there for a minute. A step is taken only if requests really left at the current
  rate; if the workers are the bottleneck, the rate says nothing about the service.
- Hold half a percent below the limit found: for half a minute after a change, for five minutes at
  first, and for twice as long after each trial that confirmed it.
- Try. Run 2 % faster, then 4 %, 8 % … more, until throttled.

Throttling means one of two things:

- Shut for a second or more: a window is used up, and what it let through is the limit.
- Single throttled answers between others: a bucket, a window of a second, or chance. If they are
  more than chance explains, they end a trial; and while holding, they lower the limit. More than
  4 %: to what is let through. Fewer: by 2 %, and if at least half as many come at the lower rate,
  speed is not the cause. Then the fall is undone, and so many are chance from then on.

A rate set by the user (`ceiling`) is not a guess: single throttled answers, if more than 4 %,
slow it by a fifth, and each other answer restores half a request a minute.

All functions are pure: `state` is the state before, the result is the state after. Times are
seconds on a monotonic clock.
"""

import math
from dataclasses import replace

from migrator.rate_limit.estimate import (
    UNSEEN_SECONDS,
    WINDOW_SECONDS,
    History,
    nearest_round_number,
    window_range,
)
from migrator.rate_limit.state import (
    LARGEST_CHANCE,
    LONGEST_HOLD_SECONDS,
    SHARE_OF_LIMIT,
    SHORTEST_HOLD_SECONDS,
    SLOWEST_PER_MINUTE,
    HigherLimit,
    RateState,
    Throttling,
)

# The largest documented limit. The climb to it takes less than half a minute.
LARGEST_PER_MINUTE = 1000.0
CLIMB_SECONDS, CLIMB_FACTOR = 5.0, 1.25
TRIAL_STEP = 0.02
# Longer at first, so that most trials of a limit that stays exceed one window, by very little.
FIRST_TRIAL_SECONDS, LATER_TRIAL_SECONDS = 60.0, 30.0
# Below this share of the rate, the workers are the bottleneck.
LEAST_USED_SHARE = 0.8
# A limit that differs by more than this from the one before has changed.
CHANGED_SHARE = 0.05
SHUT_SECONDS = 1.0
# Throttling this soon after the limit was set may be due to the rate before.
SETTLE_SECONDS = 5.0
JUDGED_SECONDS = 120.0
# Up to so many more single throttled answers than expected, and standard deviations, are chance.
FEW, DEVIATIONS = 4, 2
FALL_FACTOR = 0.98
# The higher rate was judged when it looked worst, so the lower one is by so many times the answers.
COMPARED = 2
# A rate set by the user: slowed by throttling, and restored a little with each answer.
SLOW_DOWN_FACTOR, SPEED_UP_PER_MINUTE = 0.8, 0.5


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
    state = replace(state, in_a_row=0)
    if state.throttling is not None and state.throttling.probed_at is not None:
        state = _opened(state, state.throttling, now, history)
    if state.per_minute is None or state.throttling is not None:
        return state
    if limit is None or remaining is None or reset_in is None:
        if state.ceiling is not None:
            return _with_rate(state, state.per_minute + SPEED_UP_PER_MINUTE)
        return _next_stage(state, state.per_minute, now, history)
    # Headers make discovery unnecessary.
    stated = replace(state, limit=None, trial_step=0, above=None, since=now)
    if remaining <= 0:
        return replace(stated, next_at=max(state.next_at, now + reset_in))
    return _with_rate(stated, 60 * remaining / max(reset_in, 1.0))


def _with_rate(state: RateState, per_minute: float) -> RateState:
    per_minute = max(SLOWEST_PER_MINUTE, per_minute)
    capped = per_minute if state.ceiling is None else min(per_minute, state.ceiling)
    return replace(state, per_minute=capped)


def _hold(state: RateState, limit: float, now: float) -> RateState:
    limit = max(SLOWEST_PER_MINUTE, limit)
    held = replace(state, limit=limit, trial_step=0, above=None, since=now + SETTLE_SECONDS)
    return _with_rate(held, limit * SHARE_OF_LIMIT)


def _found(state: RateState, limit: float, now: float) -> RateState:
    """Hold a limit: shortly if it is another one, for twice as long if a trial confirmed it."""
    hold = min(LONGEST_HOLD_SECONDS, state.hold_seconds * (2 if state.trial_step else 1))
    if state.limit is not None and abs(limit - state.limit) > CHANGED_SHARE * limit:
        hold = SHORTEST_HOLD_SECONDS
    return _hold(replace(state, hold_seconds=hold), limit, now)


# Upward


def _next_stage(state: RateState, per_minute: float, now: float, history: History) -> RateState:
    if state.above is not None:
        return _compared(state, state.above, now, history)
    top = LARGEST_PER_MINUTE * SHARE_OF_LIMIT
    seconds = now - max(state.since, state.idle_at)
    if seconds < _stage_seconds(state, per_minute >= top):
        return state
    counted = min(seconds, WINDOW_SECONDS)
    if history.sent.between(now - counted, now) < LEAST_USED_SHARE * counted * per_minute / 60:
        # Not `since`: throttled answers are judged from there on, and five seconds show too few.
        return replace(state, idle_at=now)
    if state.limit is None:
        if per_minute >= top:
            return _hold(state, LARGEST_PER_MINUTE, now)
        return _with_rate(replace(state, since=now), min(per_minute * CLIMB_FACTOR, top))
    if not state.trial_step:
        throttled, answers = history.since(state.since, now)
        state = replace(state, chance=min(state.chance, throttled / max(1, answers)))
    factor = min(CLIMB_FACTOR, 1 + TRIAL_STEP * 2**state.trial_step)
    trying = replace(state, trial_step=state.trial_step + 1, since=now)
    return _with_rate(trying, per_minute * factor)


def _stage_seconds(state: RateState, is_at_top: bool) -> float:
    if state.limit is None:
        return WINDOW_SECONDS if is_at_top else CLIMB_SECONDS
    if not state.trial_step:
        return state.hold_seconds
    longest = FIRST_TRIAL_SECONDS if state.trial_step == 1 else LATER_TRIAL_SECONDS
    return min(longest, state.hold_seconds / 2)


# Downward, after single throttled answers


def judge_single(state: RateState, now: float, history: History) -> RateState:
    """The state after a throttled answer that was followed by no pause, or by a short one."""
    if state.per_minute is None:
        return state
    after = max(state.since, now - JUDGED_SECONDS)
    throttled, answers = history.since(after, now)
    by_chance = state.chance * answers
    if throttled - by_chance <= FEW + DEVIATIONS * math.sqrt(by_chance):
        return state
    if state.ceiling is not None:
        return _with_rate(replace(state, since=now), state.per_minute * SLOW_DOWN_FACTOR)
    first = history.throttled.first(after)
    later, of = history.since(first, now)
    share = later / max(1, of)
    flow = state.per_minute * (1 - share)
    if state.limit is None:
        return _found(replace(state, hold_seconds=SHORTEST_HOLD_SECONDS), flow, now)
    if state.trial_step:
        # A minute that let far more through shows that the limit is another one, however much is
        # throttled at its end; a little more may be a bucket's burst.
        passed = history.sent.between(now - WINDOW_SECONDS, now)
        if passed > 2 * state.limit:
            return _found(state, max(flow, passed), now)
        is_raised = flow > state.limit * (1 + CHANGED_SHARE)
        return _found(state, flow if is_raised else state.limit, now)
    if share > LARGEST_CHANCE:
        return _found(state, flow, now)
    if state.above is not None:
        return state
    lower = _hold(state, state.limit * min(FALL_FACTOR, 1 - share), now)
    return replace(lower, above=HigherLimit(state.limit, throttled, answers))


def _compared(state: RateState, above: HigherLimit, now: float, history: History) -> RateState:
    """The state at a rate that was lowered to see whether less is throttled then."""
    throttled, answers = history.since(state.since, now)
    if 2 * throttled > above.throttled:
        chance = (throttled + above.throttled) / (answers + above.answers)
        state = replace(state, chance=min(chance, LARGEST_CHANCE))
        return _hold(state, above.limit, now)
    if answers < COMPARED * above.answers:
        return state
    return replace(state, above=None, since=now)


# Downward, after a pause


def _opened(state: RateState, throttling: Throttling, now: float, history: History) -> RateState:
    """The state after a probe got through."""
    # An answer to a request that left earlier does not end a wait that was asked for since.
    next_at = max(now, state.asked_until)
    if state.ceiling is not None and throttling.probed_at is not None:
        next_at = max(next_at, throttling.probed_at + 60 / state.ceiling)
    opened, limit = replace(state, throttling=None, next_at=next_at), state.limit
    if throttling.shut_at - throttling.at < SHUT_SECONDS or state.ceiling is not None:
        if state.trial_step == 1 and limit is not None:
            return _found(opened, limit, now)
        return judge_single(opened, now, history)
    began = now if state.began is None else state.began
    range_ = window_range(history.sent, began, throttling)
    if state.per_minute is None or range_ is None:
        return replace(opened, since=now)
    low, high = range_
    if limit is not None and low <= limit <= high:
        low = limit
    is_seen = throttling.shut_at - WINDOW_SECONDS >= began - UNSEEN_SECONDS
    if not is_seen and history.throttled.between(began, throttling.at - 2 * SHUT_SECONDS):
        # It shut before, and opened: its windows are shorter than the minute that is not over yet,
        # so that the count is less than it lets through.
        opened = replace(opened, hold_seconds=SHORTEST_HOLD_SECONDS)
    return _found(opened, nearest_round_number(low, high), now)
