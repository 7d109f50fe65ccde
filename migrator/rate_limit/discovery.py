"""
How a rate limit is discovered that the service does not document: climb, hold, try, fall.

If answers carry rate-limit headers, there is nothing to discover: the requests that remain are
spread over the time until the window resets, however long it is. Otherwise:

- Climb. From the safe rate, 25 % faster every five seconds, up to the largest documented limit, and
  a minute there. A step is taken only if requests really left at the present rate; where the
  workers are the bottleneck, the rate says nothing about the service.
- Throttled. Sends stop, and single probes ask when the service opens again (`state`). When a probe
  gets through, the send times and the pause give a range for the limit (`estimate`). The climb ends
  at the roundest number in that range, because limits are chosen by people.
- Hold. The rate stays half a percent below the limit for minutes (`hold_seconds`).
- Try. Then it runs 2 % above the limit for 90 seconds, longer than any window of a minute. If
  nothing is throttled, the limit was raised: climb again. If the trial is throttled near the limit,
  that confirms it, and the wait until the next trial doubles.
- Fall. When throttled while holding, the limit stays if the evidence agrees with it; otherwise, or
  if throttled again within two minutes, it falls below what it was, to the evidence. If it was
  guessed down three times, by a fifth or more, and requests are still throttled, speed is not the
  cause: it is put back to where the falls began.

When a probe finds that a window had opened earlier, requests run faster for the rest of that window
(`hurry`), so that its share is not lost.

A rate set by the user (`ceiling`) is not a guess: throttling slows it by a fifth, and each answer
restores half a request a minute.

All functions are pure. `pace` is the state before; the result is the state after. Times are seconds
on a monotonic clock.
"""

from dataclasses import replace

from migrator.rate_limit.estimate import (
    WINDOW_SECONDS,
    LimitRange,
    SendTimes,
    Throttling,
    evidence,
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
STEP_UP = 1.25
# The share of the rate that must really be used before it says anything about the service.
USED = 0.8
# A trial: this much above the limit, for longer than any window of a minute.
TRIED_UP = 1.02
TRIED_SECONDS = 90.0
# A throttled trial confirms the limit if at least this share of it was let through.
NEARLY = 0.97
# A limit that was throttled twice was too high, whatever was measured: it falls below this share.
A_LITTLE_LESS = 0.99
# If a probe is later than this, the machine was suspended, and no window is left to catch up with.
MOST_LATE_SECONDS = 2 * LONGEST_PAUSE_SECONDS
# After a fall, another user of the account may free the rest soon: try sooner.
SHORT_HOLD_SECONDS = 60.0
LONGEST_HOLD_SECONDS = 600.0
# After this many falls to this share, throttling is not about speed.
FALLS_TO_UNDO = 3
DEEP_FALL = 0.8
# A rate set by the user: slowed by throttling, and restored a little with each answer.
SLOW_DOWN = 0.8
SPEED_UP_PER_MINUTE = 0.5


def on_response(
    pace: RateState,
    now: float,
    limit: int | None,
    remaining: int | None,
    reset_in: float | None,
    left: SendTimes,
) -> RateState:
    """
    The state after an answer that was not throttled.

    Args:
        limit, remaining, reset_in: From the headers of the answer; `None` = not stated.
        left: When requests left.
    """
    if pace.refusal is not None and pace.refusal.probes:
        pace = _opened(pace, pace.refusal, now, left)
    if pace.per_minute is None or pace.refusal is not None:
        return pace
    if limit is None or remaining is None or reset_in is None:
        if pace.ceiling is not None:
            return _at(pace, pace.per_minute + SPEED_UP_PER_MINUTE)
        return _search(pace, pace.per_minute, now, left)
    # Headers make the search unnecessary.
    told = replace(pace, limit=None, is_climbing=False, is_trying=False, since=now)
    if remaining <= 0:
        return replace(told, next_at=max(pace.next_at, now + reset_in))
    return _at(told, 60 * remaining / max(reset_in, 1.0))


def _at(pace: RateState, per_minute: float) -> RateState:
    per_minute = max(SLOWEST_PER_MINUTE, per_minute)
    capped = per_minute if pace.ceiling is None else min(per_minute, pace.ceiling)
    return replace(pace, per_minute=capped)


# Upward


def _search(pace: RateState, per_minute: float, now: float, left: SendTimes) -> RateState:
    if now - pace.since < _stay_seconds(pace):
        return pace
    seconds = min(now - pace.since, WINDOW_SECONDS)
    if left.between(now - seconds, now) < USED * seconds * per_minute / 60:
        return replace(pace, since=now)
    if pace.is_climbing:
        return _step(pace, per_minute, now)
    if pace.is_trying:
        return _climb(pace, per_minute, now)
    return _try(pace, per_minute, now)


def _stay_seconds(pace: RateState) -> float:
    if pace.is_climbing:
        return WINDOW_SECONDS if _is_at_top(pace) else STEP_SECONDS
    return TRIED_SECONDS if pace.is_trying else pace.hold_seconds


def _top(pace: RateState) -> float:
    return pace.climb_to or LARGEST_PER_MINUTE


def _is_at_top(pace: RateState) -> bool:
    return (pace.per_minute or 0.0) >= _top(pace) * SHARE_OF_LIMIT


def _step(pace: RateState, per_minute: float, now: float) -> RateState:
    if _is_at_top(pace):
        return _stay(pace, _top(pace), now)
    return _at(replace(pace, since=now), min(per_minute * STEP_UP, _top(pace) * SHARE_OF_LIMIT))


def _try(pace: RateState, per_minute: float, now: float) -> RateState:
    limit = pace.limit or per_minute
    # Nothing was throttled while holding: the falls so far were right.
    trying = replace(pace, limit=limit, is_trying=True, since=now, hurry=1.0, falls=0)
    return _at(trying, max(limit * TRIED_UP, limit + 2))


def _climb(pace: RateState, per_minute: float, now: float) -> RateState:
    """A trial was not throttled: the limit was raised, by an unknown amount."""
    climb_to = max(LARGEST_PER_MINUTE, 2 * per_minute)
    return replace(
        pace, limit=per_minute, is_trying=False, is_climbing=True, climb_to=climb_to, since=now
    )


def _stay(
    pace: RateState, limit: float, now: float, hold_seconds: float = HOLD_SECONDS
) -> RateState:
    staying = replace(pace, is_climbing=False, is_trying=False, hurry=1.0)
    limited = replace(
        staying, limit=max(SLOWEST_PER_MINUTE, limit), since=now, hold_seconds=hold_seconds
    )
    return _at(limited, limit * SHARE_OF_LIMIT)


# Downward


def _opened(pace: RateState, refusal: Throttling, now: float, left: SendTimes) -> RateState:
    """A probe got through: continue, with the limit that the evidence suggests."""
    opened = replace(pace, refusal=None, shut_at=_measure_from(pace, refusal), next_at=now)
    if pace.per_minute is None:
        return opened
    if pace.ceiling is not None:
        return _at(opened, pace.per_minute * SLOW_DOWN)
    found = evidence(left, _began(pace, now), pace.shut_at, refusal, pace.limit)
    if found is None:
        return replace(opened, since=now)
    if pace.limit is None or pace.is_climbing:
        judged = _stay(opened, nearest_round_number(found), now)
    elif pace.is_trying and found.high >= NEARLY * pace.limit:
        # Expected: the limit did not fall.
        hold_seconds = min(2 * pace.hold_seconds, LONGEST_HOLD_SECONDS)
        judged = _stay(replace(opened, shut_at=pace.shut_at), pace.limit, now, hold_seconds)
    else:
        judged = _judged(opened, pace.limit, found, now, refusal, _is_again(pace, refusal))
    return _catch_up_window(judged, refusal)


def _measure_from(pace: RateState, refusal: Throttling) -> float:
    """The time from which the flow of a token bucket is measured: when it was last empty."""
    if refusal.is_shut or pace.shut_at is None or refusal.at - pace.shut_at >= WINDOW_SECONDS:
        return refusal.shut_at
    return pace.shut_at


def _catch_up_window(pace: RateState, refusal: Throttling) -> RateState:
    """Speed up for the rest of a window that had opened before the probe saw it."""
    late = refusal.probed_at - refusal.shut_at
    if not refusal.is_shut or not 0 < late <= MOST_LATE_SECONDS:
        return pace
    return replace(pace, hurry=WINDOW_SECONDS / (WINDOW_SECONDS - late))


def _began(pace: RateState, now: float) -> float:
    return now if pace.began is None else pace.began


def _is_again(pace: RateState, refusal: Throttling) -> bool:
    return pace.shut_at is not None and refusal.at - pace.shut_at < 2 * WINDOW_SECONDS


def _judged(
    pace: RateState,
    limit: float,
    found: LimitRange,
    now: float,
    refusal: Throttling,
    is_again: bool,
) -> RateState:
    """Decide whether the known limit still holds, fell, or was never the cause."""
    below = limit * A_LITTLE_LESS
    if limit <= SLOWEST_PER_MINUTE or (found.high >= below and not is_again):
        return _stay(pace, limit, now, pace.hold_seconds)
    if pace.falls >= FALLS_TO_UNDO and limit <= DEEP_FALL * pace.fell_from:
        # Throttled at random or for another reason: a slower rate gains nothing.
        return replace(_stay(pace, pace.fell_from, now, pace.hold_seconds), falls=0)
    hold_seconds = pace.hold_seconds if is_again else SHORT_HOLD_SECONDS
    return _stay(
        _record_drop(pace, limit, refusal),
        nearest_round_number(found.below(below)),
        now,
        hold_seconds,
    )


def _record_drop(pace: RateState, limit: float, refusal: Throttling) -> RateState:
    """Count a fall that may have to be undone; one measured by a whole window need not."""
    if refusal.is_shut:
        return replace(pace, falls=0)
    return replace(pace, falls=pace.falls + 1, fell_from=pace.fell_from if pace.falls else limit)
