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
from migrator.ledger import Ending, Sendable
from migrator.states import Outcome
from migrator.wire import Sent

# Answers that come while intents still wait for a worker are gathered for so long, about as long as
# a disk takes to commit: they share the commit.
GATHERED_FOR_SECONDS = 0.005


@dataclass(frozen=True)
class Moment:
    """
    What was known when an intent was written.

    Args:
        bad_rounds: So many rounds of sends in a row had come to nothing.
        refusals: So often the service had said "not now".
    """

    bad_rounds: int
    refusals: int


@dataclass(frozen=True)
class Returned:
    """What a worker hands back; `error` = why the run must stop."""

    contact: Sendable
    moment: Moment
    sent: Sent
    error: BaseException | None = None

    def ending(self) -> Ending:
        """What the ledger keeps of it."""
        sent = self.sent
        return Ending(self.contact.key, sent.outcome, sent.status, sent.answer, sent.created_id)


@dataclass(frozen=True)
class TakenBack:
    """An intent that was committed, and did not leave."""

    contact: Sendable


class Senders:
    """
    Threads that send.

    Args:
        workers: So many.
        send: Sends a body once. It raises a `MigratorError` only when nothing was created.
        may_leave: Whether an intent of this moment may leave yet, or is to be taken back.
    """

    def __init__(
        self, workers: int, send: Callable[[bytes], Sent], may_leave: Callable[[Moment], bool]
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

    def hand_out(self, contact: Sendable, body: bytes, moment: Moment) -> None:
        """Send it as soon as a worker is free. Its intent is committed."""
        self._threads.submit(self._deliver, contact, body, moment)

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

    def _deliver(self, contact: Sendable, body: bytes, moment: Moment) -> None:
        """In a worker. It must hand something back."""
        if not self._may_leave(moment):
            self.tell(TakenBack(contact))
            return
        try:
            returned = Returned(contact, moment, self._send(body))
        except MigratorError as failure:
            unsent = Sent(Outcome.UNSENT, answer=failure.message)
            returned = Returned(contact, moment, unsent, failure)
        except BaseException as failure:  # nothing is known of the send
            returned = Returned(contact, moment, Sent(None), failure)
        self.tell(returned)
