"""
The witness's notebook: every request that was received, in order, and what became of it.

Owns `LoggedRequest` and the condition on which waiting tests are woken. A request is written down
before it is answered, so one that hangs for ever is in the book too. It must never change what it
noted about another request.
"""

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from migrator.sandbox.messages import Call, Lead

# Requests whose lead is kept; of older ones the key and the ids remain.
_LEADS_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """
    One request as the sandbox saw it.

    Args:
        number: Its place in the order of arrival, from 0.
        at: Wall clock in seconds since the epoch, when its last byte had come.
        status: What was answered; None when nothing was, or nothing was yet.
        lead: The parsed body of a `POST /api/leads`; None when it held no JSON object, and for all
            but the latest 50,000 requests.
        fault: The name of the one that struck it.
        lead_id: The lead that was saved because of it.
        key: SHA-256 of the body in hexadecimal; empty without a body.
    """

    number: int
    at: float
    method: str
    path: str
    query: dict[str, str]
    status: int | None
    lead: Lead | None
    fault: str | None
    lead_id: str | None
    key: str


class RequestLog:
    """All requests received, and a way to wait for the next."""

    def __init__(self) -> None:
        self._received: list[LoggedRequest] = []
        self._changed = threading.Condition()
        self._changes = 0

    def arrived(self, call: Call) -> None:
        """Write a request down and give it its number."""
        key = sha256(call.body).hexdigest() if call.body else ""
        with self._changed:
            call.number = len(self._received)
            self._received.append(_received(call, key))
            self._forget_a_lead()
            self._wake()

    def note(self, call: Call) -> None:
        """Write down what became of a request since."""
        with self._changed:
            self._received[call.number] = _received(call, self._received[call.number].key)
            self._wake()

    def all(self) -> list[LoggedRequest]:
        """A copy of the book as it is now."""
        with self._changed:
            return self._received.copy()

    def wait_until(self, predicate: Callable[[], object], timeout: float) -> None:
        """
        Return once `predicate()` is true; it is asked again whenever the book changes.

        Raises:
            TimeoutError: It was still false after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._changed:
                seen = self._changes
            # Asked without the lock: a predicate may look at anything that the sandbox holds.
            if predicate():
                return
            with self._changed:
                while self._changes == seen:
                    if not self._changed.wait(deadline - time.monotonic()):
                        raise TimeoutError(f"still false after {timeout} s and {seen} changes")

    def _wake(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    def _forget_a_lead(self) -> None:
        old = len(self._received) - 1 - _LEADS_KEPT
        if old >= 0 and self._received[old].lead is not None:
            self._received[old] = dataclasses.replace(self._received[old], lead=None)


def _received(call: Call, key: str) -> LoggedRequest:
    return LoggedRequest(
        call.number,
        call.at,
        call.method,
        call.path,
        call.query,
        call.status,
        call.lead,
        call.fault,
        call.lead_id,
        key,
    )
