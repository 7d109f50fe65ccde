"""
How the limit is found, kept and looked for anew: by what answers tell, else by what they let pass.

Pure functions. Up from the safe rate in steps while everything gets through; at the first refusal
down to what was let through, and there for minutes; then a little above, to see whether the limit
was raised. It must never go faster than requests really leave: where the workers are the bound,
nothing is learnt.
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
    LONGEST_PAUSE_SECONDS,
    PATIENCE_SECONDS,
    SHARE_OF_LIMIT,
    SLOWEST_PER_MINUTE,
    RateState,
)

# The largest limit that is documented. Beyond it the climb is a slow one.
LARGEST_PER_MINUTE = 1000.0
# A climb from the safe rate to the largest takes less than half a minute.
STEP_SECONDS = 5.0
STEP_UP = 1.25
# What leaves must be so much of what may, or the rate says nothing of the service.
USED = 0.8
# A limit is tried by so much more than it, for longer than any window of a minute.
TRIED_UP = 1.02
TRIED_SECONDS = 90.0
# A trial that was refused measures the limit by so much.
NEARLY = 0.97
# What was refused twice was too much, whatever was measured.
A_LITTLE_LESS = 0.99
# Later than this it was not the probes that were late, but the machine.
MOST_LATE_SECONDS = 2 * LONGEST_PAUSE_SECONDS
# After a limit that fell, whoever took the rest may give it back soon.
SHORT_PATIENCE_SECONDS = 60.0
LONGEST_PATIENCE_SECONDS = 600.0
# Who is refused still after so many falls, so much lower, is not refused for going too fast.
FALLS_TO_UNDO = 3
DEEP_FALL = 0.8
# A rate set by hand is no guess: what refuses now and then slows it down, and not for long.
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
    The pace after an answer that was no refusal.

    With headers, what remains is spread over the time that remains, however long the service's
    window is. Without, the limit is searched for.
    """
    if pace.refusal is not None and pace.refusal.probes:
        pace = _opened(pace, pace.refusal, now, left)
    if pace.per_minute is None or pace.refusal is not None:
        return pace
    if limit is None or remaining is None or reset_in is None:
        if pace.ceiling is not None:
            return _at(pace, pace.per_minute + SPEED_UP_PER_MINUTE)
        return _search(pace, pace.per_minute, now, left)
    # Whoever is told need not search.
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
    return TRIED_SECONDS if pace.is_trying else pace.patience


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
    # Nothing was refused for so long: whatever made the limit fall, it helped.
    trying = replace(pace, limit=limit, is_trying=True, since=now, hurry=1.0, falls=0)
    return _at(trying, max(limit * TRIED_UP, limit + 2))


def _climb(pace: RateState, per_minute: float, now: float) -> RateState:
    """Above the limit and not refused: it was raised, nobody knows how far."""
    climb_to = max(LARGEST_PER_MINUTE, 2 * per_minute)
    return replace(
        pace, limit=per_minute, is_trying=False, is_climbing=True, climb_to=climb_to, since=now
    )


def _stay(
    pace: RateState, limit: float, now: float, patience: float = PATIENCE_SECONDS
) -> RateState:
    staying = replace(pace, is_climbing=False, is_trying=False, hurry=1.0)
    limited = replace(staying, limit=max(SLOWEST_PER_MINUTE, limit), since=now, patience=patience)
    return _at(limited, limit * SHARE_OF_LIMIT)


# Downward


def _opened(pace: RateState, refusal: Throttling, now: float, left: SendTimes) -> RateState:
    """A probe got through: go on, at what is known now."""
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
        # What was expected: it is no sign that the limit fell.
        patience = min(2 * pace.patience, LONGEST_PATIENCE_SECONDS)
        judged = _stay(replace(opened, shut_at=pace.shut_at), pace.limit, now, patience)
    else:
        judged = _judged(opened, pace.limit, found, now, refusal, _is_again(pace, refusal))
    return _catch_up_window(judged, refusal)


def _measure_from(pace: RateState, refusal: Throttling) -> float:
    """What flows from a bucket is measured from an earlier moment at which it was empty."""
    if refusal.is_shut or pace.shut_at is None or refusal.at - pace.shut_at >= WINDOW_SECONDS:
        return refusal.shut_at
    return pace.shut_at


def _catch_up_window(pace: RateState, refusal: Throttling) -> RateState:
    """A window had opened before the probe saw it: use it up before it may end."""
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
    """Whether the limit that was believed in still holds."""
    below = limit * A_LITTLE_LESS
    if limit <= SLOWEST_PER_MINUTE or (found.high >= below and not is_again):
        return _stay(pace, limit, now, pace.patience)
    if pace.falls >= FALLS_TO_UNDO and limit <= DEEP_FALL * pace.fell_from:
        # It refuses by chance, or for a reason of its own: going slower gains nothing.
        return replace(_stay(pace, pace.fell_from, now, pace.patience), falls=0)
    patience = pace.patience if is_again else SHORT_PATIENCE_SECONDS
    return _stay(
        _record_drop(pace, limit, refusal), nearest_round_number(found.below(below)), now, patience
    )


def _record_drop(pace: RateState, limit: float, refusal: Throttling) -> RateState:
    """One more fall to undo; a window that was seen to open was measured, and is none."""
    if refusal.is_shut:
        return replace(pace, falls=0)
    return replace(pace, falls=pace.falls + 1, fell_from=pace.fell_from if pace.falls else limit)
