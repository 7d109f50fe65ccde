"""Rate limits: fixed and rolling windows."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RequestAllowance:
    """
    The decision of a rate limit on a request.

    Args:
        reset_seconds: The time until more requests are allowed.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: float


class Limit(Protocol):
    """A rate limit."""

    def take(self) -> RequestAllowance:
        """Count one request; a refused one costs nothing."""


class FixedWindow:
    """`limit` requests in each of consecutive windows of `seconds`."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._window = 0
        self._taken = 0

    def take(self) -> RequestAllowance:
        """Count one request; a refused one costs nothing."""
        with self._lock:
            window, elapsed = divmod(time.monotonic() - self._start, self._seconds)
            if int(window) != self._window:
                self._window, self._taken = int(window), 0
            allowed = self._taken < self._limit
            self._taken += allowed
            remaining = self._limit - self._taken
            return RequestAllowance(allowed, self._limit, remaining, self._seconds - elapsed)


class RollingWindow:
    """`limit` requests within any `seconds`, like HubSpot's ten-second limit."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._lock = threading.Lock()
        self._taken: deque[float] = deque()

    def take(self) -> RequestAllowance:
        """Count one request; a refused one costs nothing."""
        with self._lock:
            now = time.monotonic()
            while self._taken and self._taken[0] <= now - self._seconds:
                self._taken.popleft()
            allowed = len(self._taken) < self._limit
            if allowed:
                self._taken.append(now)
            wait = self._taken[0] + self._seconds - now if self._taken else self._seconds
            return RequestAllowance(allowed, self._limit, self._limit - len(self._taken), wait)
