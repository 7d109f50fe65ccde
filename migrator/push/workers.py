"""
The workers of a push: each takes an intent that is committed, sends it once, hands back what came.

They never touch the ledger. What they hand back, and whatever else is found out meanwhile, waits in
one queue for the scribe, which alone writes.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from migrator.errors import MigratorError
from migrator.http import SendOutcome
from migrator.ledger import AttemptResult, ContactToSend
from migrator.states import Outcome

# Answers that come while intents still wait for a worker are gathered for so long, about as long as
# a disk takes to commit: they share the commit.
GATHERED_FOR_SECONDS = 0.005


@dataclass(frozen=True)
class SendResult:
    """What a worker hands back; `error` = why the run must stop."""

    contact: ContactToSend
    sent: SendOutcome
    error: BaseException | None = None

    def ending(self, is_failure: bool) -> AttemptResult:
        """What the ledger keeps of it; `is_failure` = the contact was tried in vain."""
        sent, is_failure = self.sent, is_failure and self.error is None
        key, created = self.contact.key, sent.created_id
        return AttemptResult(key, sent.outcome, sent.status, sent.answer, created, is_failure)


@dataclass(frozen=True)
class NotSentAfterAll:
    """An intent that was committed, and did not leave."""

    contact: ContactToSend


class WorkerPool:
    """
    Threads that send.

    Args:
        workers: So many.
        send: Sends a body once. It raises a `MigratorError` only when nothing was created.
        may_leave: Whether an intent may leave yet that was written when so much news had come in,
            or is to be taken back.
    """

    def __init__(
        self, workers: int, send: Callable[[bytes], SendOutcome], may_leave: Callable[[int], bool]
    ) -> None:
        self._workers = workers
        self._send = send
        self._may_leave = may_leave
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="send")
        self._events: SimpleQueue[Any] = SimpleQueue()
        self.tell = self._events.put

    def close(self) -> None:
        """Wait for the threads to end. What no worker has begun stays an open attempt."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def hand_out(self, contact: ContactToSend, body: bytes, news: int) -> None:
        """Send it as soon as a worker is free. Its intent is committed."""
        self._threads.submit(self._deliver, contact, body, news)

    def events(self, nap_seconds: float, in_flight: int) -> list[Any]:
        """
        What came back, and whatever else was told.

        Args:
            nap_seconds: To wait for the first of it, at the most.
            in_flight: So many were handed out and not handed back.
        """
        events = self._drained(nap_seconds)
        until = time.monotonic() + GATHERED_FOR_SECONDS
        # As long as more are in flight than there are workers, none of them is idle.
        while events and in_flight - len(events) > self._workers:
            more = self._drained(until - time.monotonic())
            if not more:
                break
            events += more
        return events

    def _drained(self, seconds: float) -> list[Any]:
        events = []
        try:
            events.append(self._events.get(timeout=max(0.0, seconds)))
            while True:
                events.append(self._events.get_nowait())
        except Empty:
            return events

    def _deliver(self, contact: ContactToSend, body: bytes, news: int) -> None:
        """In a worker. It must hand something back."""
        if not self._may_leave(news):
            self.tell(NotSentAfterAll(contact))
            return
        try:
            returned = SendResult(contact, self._send(body))
        except MigratorError as failure:
            unsent = SendOutcome(Outcome.UNSENT, answer=failure.message)
            returned = SendResult(contact, unsent, failure)
        except BaseException as failure:  # nothing is known of the send
            returned = SendResult(contact, SendOutcome(None), failure)
        self.tell(returned)
