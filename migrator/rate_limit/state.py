"""
How fast requests may leave: a pace and a moment in, a pace or a number out.

Pure functions; moments are seconds on a monotonic clock and are always arguments.
"""

from dataclasses import dataclass, replace

from migrator.rate_limit.estimate import Throttling

# The rate that the guide found safe (section 6), where nothing better is known.
SAFE_PER_MINUTE = 400.0
SLOWEST_PER_MINUTE = 6.0
# A hair under the limit, so that answers on their way and clocks that differ do not matter.
SHARE_OF_LIMIT = 0.995
# A late wake-up may be caught up with, but not a whole pause: this much at the most.
CATCH_UP_SECONDS = 0.5
# A service that said "not now" is asked by one request at a time, less and less often.
PAUSE_WHEN_THROTTLED_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 5.0
# A `Retry-After` is told in whole seconds, rounded up.
ROUNDED_UP_SECONDS = 1.0
# How long a limit that was found is left alone before it is tried whether there is more.
PATIENCE_SECONDS = 300.0
# One that was remembered sooner: it may be old, and runs may be short.
PATIENCE_WITH_MEMORY_SECONDS = 180.0


@dataclass(frozen=True)
class RateState:
    """
    How fast requests may leave.

    Args:
        per_minute: The rate; `None` = as fast as answers come.
        ceiling: A rate set by hand that it never exceeds; `None` = find out.
        limit: What the service was found to allow in a minute; `None` = not found.
        next_at: When the next request may leave.
        refusal: The service says "not now"; `None` = it does not.
        shut_at: The last moment of the refusal before that; `None` = there was none.
        began: When the first request left.
        is_climbing: Whether it grows until it is refused or `climb_to` is reached.
        is_trying: Whether it runs a little above `limit`, to see whether that was raised.
        hurry: So much faster they follow each other, with a pause before the minute is over.
        since: When the present step, stay or trial began.
        patience: So many seconds `limit` is left alone before it is tried.
        falls: How often `limit` fell by guesses since it was last tried or measured.
        fell_from: What it was before the first of those.
    """

    per_minute: float | None = SAFE_PER_MINUTE
    ceiling: float | None = None
    limit: float | None = None
    next_at: float = 0.0
    refusal: Throttling | None = None
    shut_at: float | None = None
    began: float | None = None
    is_climbing: bool = False
    climb_to: float = 0.0
    is_trying: bool = False
    hurry: float = 1.0
    since: float = 0.0
    patience: float = PATIENCE_SECONDS
    falls: int = 0
    fell_from: float = 0.0

    @classmethod
    def automatic(cls, found: float | None = None) -> "RateState":
        """Begin with what an earlier run found, else at the safe rate; use what is allowed."""
        if found is None:
            return cls(is_climbing=True)
        return cls(
            per_minute=found * SHARE_OF_LIMIT, limit=found, patience=PATIENCE_WITH_MEMORY_SECONDS
        )

    @classmethod
    def unlimited(cls) -> "RateState":
        """As fast as answers come; only a service that throttles slows it down."""
        return cls(per_minute=None)

    @classmethod
    def fixed(cls, per_minute: float) -> "RateState":
        """Never faster than so many a minute."""
        return cls(per_minute=per_minute, ceiling=per_minute)


def available(pace: RateState, now: float, at_most: int) -> int:
    """How many requests may leave at this moment."""
    if now < pace.next_at or at_most <= 0:
        return 0
    if pace.refusal is not None:
        return 1
    if pace.per_minute is None:
        return at_most
    behind = min(now - pace.next_at, _catch_up_seconds(pace))
    return min(at_most, 1 + int(behind * pace.per_minute * pace.hurry / 60))


def reserve(pace: RateState, now: float, count: int) -> RateState:
    """The pace after so many requests left at this moment."""
    if count == 0:
        return pace
    if pace.began is None:
        pace = replace(pace, began=now, since=now)
    if pace.refusal is not None:
        return _probed(pace, now, pace.refusal)
    if pace.per_minute is None:
        return pace
    begin = max(pace.next_at, now - _catch_up_seconds(pace))
    return replace(pace, next_at=begin + count * 60 / (pace.per_minute * pace.hurry))


def _probed(pace: RateState, now: float, refusal: Throttling) -> RateState:
    """The answer may get lost, so the next one waits for no more than its own turn."""
    asked = replace(refusal, probes=refusal.probes + 1, probed_at=now)
    gap = min(LONGEST_PAUSE_SECONDS, PAUSE_WHEN_THROTTLED_SECONDS * 2 ** min(asked.probes, 16))
    return replace(pace, refusal=asked, next_at=now + gap)


def _catch_up_seconds(pace: RateState) -> float:
    """A rate set by hand is a limit in any minute; what a late wake-up lost of it stays lost."""
    return CATCH_UP_SECONDS if pace.ceiling is None else 0.0


def throttle(pace: RateState, now: float, asked_seconds: float | None) -> RateState:
    """The pace after the service said "not now": nothing leaves for a while, and then one."""
    refusal, pause = pace.refusal, asked_seconds or 0.0
    if refusal is None:
        refusal = Throttling(now, shut_at=now)
        pause = PAUSE_WHEN_THROTTLED_SECONDS if asked_seconds is None else asked_seconds
    elif refusal.probes:
        refusal = replace(refusal, shut_at=max(refusal.shut_at, refusal.probed_at))
    # Those that left together are refused together: a mere echo makes no pause longer.
    shut_at = max(refusal.shut_at, now + pause - ROUNDED_UP_SECONDS if asked_seconds else 0.0)
    return replace(
        pace, refusal=replace(refusal, shut_at=shut_at), next_at=max(pace.next_at, now + pause)
    )
