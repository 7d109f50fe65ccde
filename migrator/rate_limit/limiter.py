"""A rate limiter that several threads share: a lock around a `RateState`."""

import threading

from migrator.rate_limit.discovery import judge_single, on_response
from migrator.rate_limit.estimate import History
from migrator.rate_limit.state import RateState, asked_to_wait, available, reserve, throttle


class RateLimiter:
    """A shared rate limiter. Times are the callers', in seconds on a monotonic clock."""

    def __init__(self, state: RateState) -> None:
        self._state = state
        self._history = History()
        self._lock = threading.Lock()

    @property
    def state(self) -> RateState:
        """The current state."""
        return self._state

    @property
    def limit(self) -> float | None:
        """The discovered limit in requests a minute; `None` = none was found."""
        return self._state.limit

    @property
    def interval_seconds(self) -> float:
        """The time between two requests at the current rate; 0 = no rate limit."""
        per_minute = self._state.per_minute
        return 60 / per_minute if per_minute else 0.0

    def claim(self, now: float, at_most: int) -> int:
        """Reserve up to `at_most` requests that may leave now; `0` = none may yet."""
        with self._lock:
            count = available(self._state, now, at_most)
            reserved = reserve(self._state, now, count)
            if count and reserved.per_minute is not None:
                self._history.sent.add(now, count)
            self._state = reserved
            return count

    def claim_ahead(self, now: float) -> int:
        """Reserve one request to leave now at the expense of later ones; `0` = it may not."""
        with self._lock:
            state = self._state
            if state.per_minute is None or state.throttling is not None:
                return 0
            self._history.sent.add(now, 1)
            self._state = reserve(state, max(now, state.next_at), 1)
            return 1

    def wait_seconds(self, now: float) -> float:
        """How long until the next request may leave; `0` = it may now."""
        return max(0.0, self._state.next_at - now)

    def pause_for(self, now: float, seconds: float) -> None:
        """Let nothing leave for this long."""
        with self._lock:
            self._state = asked_to_wait(self._state, now + seconds)

    def on_throttled(self, now: float, asked_seconds: float | None) -> None:
        """Record a throttled answer, and the wait that it asks for."""
        with self._lock:
            self._history.sent.take_back()
            if self._state.throttling is None:
                self._history.throttled.add(now)
            self._state = throttle(self._state, now, asked_seconds)
            if self._state.throttling is None:
                self._state = judge_single(self._state, now, self._history)

    def on_response(
        self, now: float, limit: int | None, remaining: int | None, reset_in: float | None
    ) -> None:
        """Record any other answer, and its rate-limit headers."""
        with self._lock:
            self._state = on_response(self._state, now, limit, remaining, reset_in, self._history)
