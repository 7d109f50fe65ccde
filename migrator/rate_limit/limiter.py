"""A rate limiter that several threads share: a lock around a `RateState`."""

import math
import threading
from dataclasses import replace

from migrator.rate_limit.discovery import on_response
from migrator.rate_limit.estimate import WINDOW_SECONDS, SendTimes
from migrator.rate_limit.state import SHARE_OF_LIMIT, RateState, available, reserve, throttle


class RateLimiter:
    """A shared rate limiter. Times are the callers', in seconds on a monotonic clock."""

    def __init__(self, pace: RateState) -> None:
        self._pace = pace
        self._left = SendTimes()
        self._lock = threading.Lock()

    @property
    def pace(self) -> RateState:
        """The current state."""
        return self._pace

    @property
    def found(self) -> float | None:
        """The discovered limit in requests a minute; `None` = none was found."""
        return self._pace.limit

    @property
    def own_seconds(self) -> float:
        """The time between two requests at the current rate; 0 = no rate limit."""
        per_minute = self._pace.per_minute
        return 60 / per_minute if per_minute else 0.0

    def claim(self, now: float, at_most: int) -> int:
        """Reserve up to `at_most` requests that may leave now; `0` = none may yet."""
        with self._lock:
            count = available(self._pace, now, at_most)
            taken = reserve(self._pace, now, count)
            if count and taken.per_minute is not None:
                self._left.add(now, count)
                taken = self._within_the_minute(taken)
            self._pace = taken
            return count

    def _within_the_minute(self, pace: RateState) -> RateState:
        """Delay the next request if the last sixty seconds, unevenly used, are full."""
        if pace.limit is None or pace.is_climbing or pace.is_trying or pace.refusal:
            return pace
        oldest = self._left.last_but(math.ceil(pace.limit))
        if oldest is None:
            return pace
        over_at = oldest + WINDOW_SECONDS / SHARE_OF_LIMIT
        return replace(pace, next_at=over_at) if over_at > pace.next_at else pace

    def wait_seconds(self, now: float) -> float:
        """How long until the next request may leave; `0` = it may now."""
        return max(0.0, self._pace.next_at - now)

    def pause_for(self, now: float, seconds: float) -> None:
        """Let nothing leave for this long."""
        with self._lock:
            self._pace = replace(self._pace, next_at=max(self._pace.next_at, now + seconds))

    def on_throttled(self, now: float, asked_seconds: float | None) -> None:
        """Note a throttled answer, and the wait that it asks for."""
        with self._lock:
            self._left.take_back()
            self._pace = throttle(self._pace, now, asked_seconds)

    def answered(
        self, now: float, limit: int | None, remaining: int | None, reset_in: float | None
    ) -> None:
        """Note any other answer, and what its headers say about the rate limit."""
        with self._lock:
            self._pace = on_response(self._pace, now, limit, remaining, reset_in, self._left)
