"""
One rate limiter for the processes of one login: the parent keeps it, the children ask by socket.

Why not split the rate: the limit of a login is not known beforehand; it is discovered from answers
and headers (`rate_limit.discovery`), which count the requests of all. A share of a guess would be
too much for one login and too little for another, a journey that waits would keep its share from
the others, and each start or end would have to change the shares of processes at work. Asked per
request, one limiter sees every answer, and what one journey leaves another one uses.

Each message is a JSON array on a line. The child asks `["claim", n]`, and is answered with what may
leave now and the limiter's state; the other messages report what LeadGenius answered. Times are
durations: each side counts on its own clock. A parent that does not answer, because it is stopped,
lets nothing leave.
"""

import json
import math
import os
import select
import signal
import socket
import threading
import time
from typing import Any

from migrator.rate_limit import RateLimiter, RateState

# A child that waits looks this often whether it is to stop.
LONGEST_ANSWER_SECONDS = 0.2
GRACE_SECONDS = 2.0


def first_state(asked: str | float, found: float | None) -> RateState:
    """The state to begin with, from `--rate` and the limit that an earlier run found."""
    if isinstance(asked, float):
        return RateState.fixed(asked)
    return RateState.unlimited() if asked == "max" else RateState.automatic(found)


class LoginPace:
    """
    The parent's end: the rate limiter of one login, for any number of children.

    It begins as the first child asks for. A child with a lower fixed `--rate` lowers it for all.
    """

    def __init__(self) -> None:
        self._limiter = RateLimiter(RateState.automatic())
        self._is_begun = False
        self._fixed = math.inf

    def answer(self, message: list[Any], now: float) -> list[Any] | None:
        """Handle one message of a child; `None` = it wants no answer."""
        kind, *values = message
        if kind == "begin":
            self._begin(now, *values)
            return None
        limiter = self._limiter
        if kind == "pause":
            limiter.pause_for(now, values[0])
        elif kind == "throttled":
            limiter.on_throttled(now, values[0])
        elif kind == "response":
            limiter.on_response(now, *values)
        else:
            ahead = kind == "claim_ahead"
            count = limiter.claim_ahead(now) if ahead else limiter.claim(now, values[0])
            state = limiter.state
            return [count, limiter.wait_seconds(now), state.per_minute, state.limit]
        return None

    def _begin(self, now: float, asked: str | float, found: float | None) -> None:
        fixed = asked if isinstance(asked, float) else math.inf
        if not self._is_begun or fixed < self._fixed:
            # A wait that the service asked for is asked of the login, so it goes on.
            wait = self._limiter.wait_seconds(now) if self._is_begun else 0.0
            self._limiter = RateLimiter(first_state(asked, found))
            self._limiter.pause_for(now, wait)
            self._is_begun, self._fixed = True, fixed


class SharedRateLimiter(RateLimiter):
    """
    The child's end, used like the limiter of a process of its own.

    Args:
        descriptor: The socket, inherited from the parent; it is closed with the process.
        asked: `--rate`: "auto", "max", or requests a minute.
        found: The limit that an earlier run found; `None` = none.
    """

    def __init__(self, descriptor: int, asked: str | float, found: float | None) -> None:
        super().__init__(first_state(asked, found))
        self._socket = socket.socket(fileno=descriptor)
        self._exchange = threading.Lock()
        self._received = b""
        # Answers that were not waited for any longer: what they allow is left unused.
        self._late = 0
        self._lost_at = math.inf
        self._is_told = False
        self._tell("begin", asked, found)

    def claim(self, now: float, at_most: int) -> int:
        """Reserve up to `at_most` requests; `0` = none may leave yet, or the parent is silent."""
        return self._ask(now, "claim", at_most) if at_most > 0 else 0

    def claim_ahead(self, now: float) -> int:
        """As `RateLimiter.claim_ahead`."""
        return self._ask(now, "claim_ahead")

    def pause_for(self, now: float, seconds: float) -> None:
        """As `RateLimiter.pause_for`, for all processes of the login."""
        self._tell("pause", seconds)

    def on_throttled(self, now: float, asked_seconds: float | None) -> None:
        """As `RateLimiter.on_throttled`, for all processes of the login."""
        self._tell("throttled", asked_seconds)

    def on_response(
        self, now: float, limit: int | None, remaining: int | None, reset_in: float | None
    ) -> None:
        """As `RateLimiter.on_response`, for all processes of the login."""
        self._tell("response", limit, remaining, reset_in)

    def close(self) -> None:
        """Close its socket; nothing is asked any more."""
        self._socket.close()

    def _tell(self, *message: Any) -> None:
        with self._exchange:
            self._send(message)

    def _ask(self, now: float, *message: Any) -> int:
        with self._exchange:
            if self._late == 0:
                self._send(message)
                self._late = 1
            answer = self._receive()
            if answer is None:
                return 0
            self._late = 0
            count, wait, per_minute, limit = answer
            self._state = RateState(per_minute=per_minute, limit=limit, next_at=now + wait)
            # An answer to an earlier question may allow more than is wanted now.
            return min(int(count), message[1] if len(message) > 1 else 1)

    def _send(self, message: tuple[Any, ...]) -> None:
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._lose_parent()

    def _receive(self) -> list[Any] | None:
        """The next answer; `None` = there is none yet, or any more."""
        until = time.monotonic() + LONGEST_ANSWER_SECONDS
        while b"\n" not in self._received:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._socket], [], [], left)[0]:
                return None
            try:
                more = self._socket.recv(65_536)
            except OSError:
                more = b""
            if not more:
                self._lose_parent()
                return None
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        answer: list[Any] = json.loads(line)
        return answer

    def _lose_parent(self) -> None:
        """
        Let nothing leave any more, and stop: the parent is gone.

        On Linux the kernel has sent SIGTERM already, and a second one would not wait for what is in
        flight. It sends none if the parent ended before `end_with_parent` was called.
        """
        self._lost_at = min(self._lost_at, time.monotonic())
        if not self._is_told and time.monotonic() - self._lost_at > GRACE_SECONDS:
            self._is_told = True
            os.kill(os.getpid(), signal.SIGTERM)
