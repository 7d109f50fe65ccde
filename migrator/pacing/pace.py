"""
How fast requests may leave: a pace and a moment in, a pace or a number out.

Pure functions; moments are seconds on a monotonic clock and are always arguments.
"""

from dataclasses import dataclass, replace

# The rate that the guide found safe (section 6), where nothing better is known.
SAFE_PER_MINUTE = 400.0
# A late wake-up may be caught up with, but not a whole pause: this much at the most.
CATCH_UP_SECONDS = 0.5
# With no headers to go by: a little faster with each success, a good deal slower when throttled.
SPEED_UP_PER_MINUTE = 0.5
SLOW_DOWN = 0.8
SLOWEST_PER_MINUTE = 6.0
PAUSE_WHEN_THROTTLED_SECONDS = 2.0


@dataclass(frozen=True)
class Pace:
    """
    How fast requests may leave.

    Args:
        per_minute: The rate; `None` = as fast as answers come.
        ceiling: A rate set by hand that it never exceeds; `None` = find out.
        next_at: When the next request may leave.
        throttled_until: Until then, another "not now" belongs to the same burst.
    """

    per_minute: float | None = SAFE_PER_MINUTE
    ceiling: float | None = None
    next_at: float = 0.0
    throttled_until: float = 0.0

    @classmethod
    def automatic(cls) -> "Pace":
        """Begin at the safe rate and use what the service allows."""
        return cls()

    @classmethod
    def unlimited(cls) -> "Pace":
        """As fast as answers come; only a service that throttles slows it down."""
        return cls(per_minute=None)

    @classmethod
    def fixed(cls, per_minute: float) -> "Pace":
        """Never faster than so many a minute."""
        return cls(per_minute=per_minute, ceiling=per_minute)


def ready(pace: Pace, now: float, at_most: int) -> int:
    """How many requests may leave at this moment."""
    if now < pace.next_at:
        return 0
    if pace.per_minute is None:
        return at_most
    behind = min(now - pace.next_at, _catch_up_seconds(pace))
    return min(at_most, 1 + int(behind * pace.per_minute / 60))


def take(pace: Pace, now: float, count: int) -> Pace:
    """The pace after so many requests left at this moment."""
    if pace.per_minute is None or count == 0:
        return pace
    begin = max(pace.next_at, now - _catch_up_seconds(pace))
    return replace(pace, next_at=begin + count * 60 / pace.per_minute)


def _catch_up_seconds(pace: Pace) -> float:
    """A rate set by hand is a limit in any minute; what a late wake-up lost of it stays lost."""
    return CATCH_UP_SECONDS if pace.ceiling is None else 0.0


def throttle(pace: Pace, now: float, asked_seconds: float | None) -> Pace:
    """The pace after the service said "not now": a pause, and slower from then on."""
    pause = PAUSE_WHEN_THROTTLED_SECONDS if asked_seconds is None else asked_seconds
    # One throttled moment answers many requests at once; it counts once, even if the service asks
    # for no pause at all.
    burst_ends = max(pace.throttled_until, now + max(pause, PAUSE_WHEN_THROTTLED_SECONDS))
    paused = replace(pace, next_at=max(pace.next_at, now + pause), throttled_until=burst_ends)
    if pace.per_minute is None or now < pace.throttled_until:
        return paused
    return replace(paused, per_minute=max(SLOWEST_PER_MINUTE, pace.per_minute * SLOW_DOWN))


def heed(
    pace: Pace, now: float, limit: int | None, remaining: int | None, reset_in: float | None
) -> Pace:
    """
    The pace after an answer that was no refusal.

    With headers, what remains is spread over the time that remains, however long the service's
    window is. Without, it goes up gently.
    """
    if pace.per_minute is None:
        return pace
    if limit is None or remaining is None or reset_in is None:
        return replace(pace, per_minute=_capped(pace, pace.per_minute + SPEED_UP_PER_MINUTE))
    if remaining <= 0:
        return replace(pace, next_at=max(pace.next_at, now + reset_in))
    spread = 60 * remaining / max(reset_in, 1.0)
    return replace(pace, per_minute=_capped(pace, max(SLOWEST_PER_MINUTE, spread)))


def _capped(pace: Pace, per_minute: float) -> float:
    return per_minute if pace.ceiling is None else min(per_minute, pace.ceiling)
