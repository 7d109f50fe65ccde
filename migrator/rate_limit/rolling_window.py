"""
A rolling limit, such as HubSpot's: so many requests in any period of so many seconds.

It is learned from the answers. Times are the callers', in seconds on a monotonic clock.
"""

import math
import threading
from collections import deque

# Two clocks never run at quite the same speed.
MARGIN = 0.01
# The share left to other users of the account for the time between two answers.
LEFT_TO_OTHERS = 0.05
# With none of our requests in the window, it is unknown when there is room: retry this often.
RETRIES_PER_INTERVAL = 4
FIRST_ANSWER_POLL_SECONDS = 0.05
# HubSpot's is ten seconds. Longer values are ignored as errors.
LONGEST_INTERVAL_SECONDS = 300.0


class RequestWindow:
    """
    A rolling limit that several threads share; there is none until an answer states one.

    A request counts from its departure until one interval after its answer. The service began to
    count it in between, so it never counts more of our requests than we do.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limit: int | None = None
        self._interval = 0.0
        self._in_flight = 0
        self._until: deque[float] = deque()  # when each answered request stops counting
        self._others = 0
        self._others_at = 0.0
        self._is_known = False

    def claim(self, now: float) -> float:
        """
        Reserve a request, if it may leave now.

        Returns:
            `0` = reserved; otherwise how many seconds to wait before trying again.
        """
        with self._lock:
            wait = self._wait_seconds(now)
            self._in_flight += wait == 0
            return wait

    def _wait_seconds(self, now: float) -> float:
        if not self._is_known:  # one request at a time until the first answer
            return FIRST_ANSWER_POLL_SECONDS if self._in_flight else 0.0
        if self._limit is None:
            return 0.0
        while self._until and self._until[0] <= now:
            self._until.popleft()
        if self._in_flight + len(self._until) < self._room(self._limit):
            return 0.0
        if self._until:
            return self._until[0] - now
        return self._interval / RETRIES_PER_INTERVAL

    def _room(self, limit: int) -> int:
        """How many of our requests may be in the window."""
        left = math.ceil(limit * LEFT_TO_OTHERS) if self._others else 0
        return max(1, limit - self._others - left)

    def end(
        self, now: float, limit: int | None, remaining: int | None, interval: float | None
    ) -> None:
        """
        Record that a request was answered or failed, and what the answer says about the limit.

        Args:
            limit: Requests in any interval.
            remaining: How many of these are left now.
        """
        with self._lock:
            self._is_known = True
            self._in_flight -= 1
            if limit and limit > 0 and interval and 0 < interval <= LONGEST_INTERVAL_SECONDS:
                self._limit, self._interval = limit, interval * (1 + MARGIN)
            if self._limit is None:
                return
            self._until.append(now + self._interval)
            if remaining is not None:
                others = self._limit - remaining - self._seen(now)
                self._leave_room(now, max(0, others))

    def _leave_room(self, now: float, others: int) -> None:
        """Lower the estimate of what others use step by step; reset it after an interval."""
        if others >= self._others - 1 or now - self._others_at > self._interval:
            self._others, self._others_at = others, now
        else:
            self._others -= 1

    def _seen(self, now: float) -> int:
        """The most of our requests that the service may count."""
        gone = now + self._interval - self._interval / (1 + MARGIN)
        return self._in_flight + sum(until > gone for until in self._until)
