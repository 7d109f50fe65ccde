"""
The log of all received requests and their results; tests can wait for changes.

Requests are logged before they are answered, so hanging ones are in the log too.
"""

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from migrator.sandbox.messages import Call, Lead

# The latest requests, whose leads are kept; of older ones only the key and the ids.
_LEADS_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """
    A logged request.

    Args:
        number: Its number in the order of arrival, from 0.
        at: When its last byte arrived, in seconds since the epoch.
        status: The status of the answer; None = not answered, or not yet.
        lead: The parsed body of a POST or PUT of `/api/leads`; None if it is not a JSON object, and
            for all but the latest 50,000 requests.
        fault: The name of the fault that was injected.
        lead_id: The lead that it created.
        key: SHA-256 of the body in hexadecimal; "" without a body.
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
    """
    All received requests.

    Args:
        is_kept: Whether they are kept; otherwise they are only counted.
    """

    def __init__(self, *, is_kept: bool = True) -> None:
        self._is_kept = is_kept
        self._arrived = 0
        self._received: list[LoggedRequest] = []
        self._changed = threading.Condition()
        self._changes = 0

    def arrived(self, call: Call) -> None:
        """Log a request and set its number."""
        key = sha256(call.body).hexdigest() if call.body else ""
        with self._changed:
            call.number = self._arrived
            self._arrived += 1
            if self._is_kept:
                self._received.append(_received(call, key))
                self._forget_a_lead()
            self._wake()

    def note(self, call: Call) -> None:
        """Update the entry of a request."""
        with self._changed:
            if self._is_kept:
                self._received[call.number] = _received(call, self._received[call.number].key)
            self._wake()

    def all(self) -> list[LoggedRequest]:
        """A copy of the log."""
        with self._changed:
            return self._received.copy()

    def wait_until(self, predicate: Callable[[], object], timeout: float) -> None:
        """
        Return once `predicate()` is true; it is called again whenever the log changes.

        Raises:
            TimeoutError: It was still false after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._changed:
                seen = self._changes
            # Called without the lock, because a predicate may use any method of the sandbox.
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
