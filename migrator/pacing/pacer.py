"""One small locked object around a pace, which several threads share."""

import threading
from dataclasses import replace

from migrator.pacing.pace import Pace, heed, ready, take, throttle


class Pacer:
    """A pace that several threads share. Moments are the callers'."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._lock = threading.Lock()

    @property
    def pace(self) -> Pace:
        """The pace at this moment."""
        return self._pace

    def claim(self, now: float, at_most: int) -> int:
        """Take as many requests as may leave now; `0` = none may yet."""
        with self._lock:
            count = ready(self._pace, now, at_most) if at_most > 0 else 0
            self._pace = take(self._pace, now, count)
            return count

    def wait_seconds(self, now: float) -> float:
        """How long until the next request may leave; `0` = it may now."""
        return max(0.0, self._pace.next_at - now)

    def rest(self, now: float, seconds: float) -> None:
        """Let nothing leave for so long."""
        with self._lock:
            self._pace = replace(self._pace, next_at=max(self._pace.next_at, now + seconds))

    def throttled(self, now: float, asked_seconds: float | None) -> None:
        """A request was answered "not now"."""
        with self._lock:
            self._pace = throttle(self._pace, now, asked_seconds)

    def answered(
        self, now: float, limit: int | None, remaining: int | None, reset_in: float | None
    ) -> None:
        """A request was answered; what the answer said of the rate limit, if anything."""
        with self._lock:
            self._pace = heed(self._pace, now, limit, remaining, reset_in)
