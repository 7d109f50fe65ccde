"""
The worker threads of a push: each sends a contact whose intent is committed, once.

Workers never touch the ledger. Their results and all other events go into one queue, which the push
loop reads.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from migrator.clock import awake_or_asleep
from migrator.errors import MigratorError
from migrator.http import SendOutcome
from migrator.ledger import AttemptResult, ContactToSend
from migrator.mapping import email_key
from migrator.push.writes import IntentRecalled, Writes
from migrator.states import Outcome, WriteKind

# Results that arrive within this time share a commit, if all workers are busy meanwhile; a commit
# takes a disk about as long.
GATHERED_FOR_SECONDS = 0.005
# With a `settle` for tests, half of it may be over before a slow machine has committed anything.
SHORTEST_LIFE_SECONDS = 0.5


@dataclass(frozen=True)
class SendResult:
    """The result of a send; `error` = why the run must stop."""

    contact: ContactToSend
    sent: SendOutcome
    error: BaseException | None = None

    def attempt_result(self, kind: WriteKind, is_failure: bool) -> AttemptResult:
        """The result for the ledger; `is_failure` = the contact was tried without success."""
        sent, is_failure = self.sent, is_failure and self.error is None
        is_created = sent.outcome is Outcome.CREATED
        return AttemptResult(
            self.contact.key,
            sent.outcome,
            sent.status,
            sent.answer,
            sent.created_id if is_created else None,
            is_failure,
            made_status=sent.created_status if is_created else None,
            email_key=_email_key(self.contact.lead) if kind is WriteKind.UPDATE else None,
            kind=kind,
        )


@dataclass(frozen=True)
class NotSentAfterAll:
    """A committed intent that was handed back before anything left."""

    contact: ContactToSend


def _email_key(values: Mapping[str, Any]) -> str | None:
    email = values.get("email")
    return email_key(email) if isinstance(email, str) else None


class WorkerPool:
    """
    A pool of threads that send.

    Args:
        workers: The number of threads.
        writes: Sends. It raises a `MigratorError` only if nothing was written.
        check_sender: Raises a `MigratorError` if this process may not send any more.
        is_still_valid: Whether an intent recorded at this count of news may still leave.
        settle_seconds: An intent may leave for half of it, so that this process, suspended in
            between, sends nothing that another one takes to be settled.

    Attributes:
        put_event: Adds an event to the queue, from any thread.
        prefetch: How many contacts to claim beyond the free workers. They wait with committed
            intents, so that no worker has to wait for a commit.
    """

    def __init__(
        self,
        workers: int,
        writes: Writes,
        check_sender: Callable[[], None],
        is_still_valid: Callable[[int], bool],
        settle_seconds: float,
    ) -> None:
        self._workers = workers
        self._writes = writes
        self._check_sender = check_sender
        self._is_still_valid = is_still_valid
        self._life_seconds = max(SHORTEST_LIFE_SECONDS, settle_seconds / 2)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="send")
        self._events: SimpleQueue[Any] = SimpleQueue()
        self.put_event = self._events.put
        self.prefetch = 0

    def close(self) -> None:
        """Wait for the threads to end. Intents that no worker has begun stay open attempts."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def submit(self, contact: ContactToSend, body: bytes, news: int, intended_at: float) -> None:
        """
        Send a contact as soon as a worker is free. Its intent must be committed.

        Args:
            intended_at: When it was decided on, in seconds of a clock that goes on while the
                machine sleeps: the process may be suspended while it commits, too.
        """
        self._threads.submit(self._deliver, contact, body, news, intended_at)

    def set_prefetch(self, returned: int, *, is_smooth: bool) -> None:
        """
        Adapt `prefetch` to the number of sends that returned since the last commit.

        It is twice that number, as the next commit may take longer. More would only add doubts
        after a crash. With a rate limit, or after any failure (not `is_smooth`), it is 0.
        """
        if not is_smooth:
            self.prefetch = 0
        elif returned:
            self.prefetch = min(2 * returned, self._workers)

    def events(self, nap_seconds: float, in_flight: int) -> list[Any]:
        """
        Take the events that have arrived.

        Args:
            nap_seconds: How long to wait for the first one.
            in_flight: Contacts that were submitted and have not returned.
        """
        events = self._drain(nap_seconds)
        until = time.monotonic() + GATHERED_FOR_SECONDS
        # While more contacts are in flight than there are workers, no worker is idle.
        while events and in_flight - len(events) > self._workers:
            more = self._drain(until - time.monotonic())
            if not more:
                break
            events += more
        return events

    def _drain(self, seconds: float) -> list[Any]:
        events = []
        try:
            events.append(self._events.get(timeout=max(0.0, seconds)))
            while True:
                events.append(self._events.get_nowait())
        except Empty:
            return events

    def _deliver(self, contact: ContactToSend, body: bytes, news: int, intended_at: float) -> None:
        """Runs in a worker. It always puts exactly one event."""

        def check_age() -> None:
            if awake_or_asleep() - intended_at > self._life_seconds:
                raise IntentRecalled
            self._writes.check_age(contact)

        def may_leave() -> None:
            self._check_sender()
            check_age()  # last, since all that comes before it takes time

        event: SendResult | NotSentAfterAll
        try:
            check_age()
            if not self._is_still_valid(news):
                raise IntentRecalled
            event = SendResult(contact, self._writes.send(contact, body, may_leave))
        except IntentRecalled:
            event = NotSentAfterAll(contact)
        except MigratorError as failure:
            unsent = SendOutcome(Outcome.UNSENT, answer=failure.message)
            event = SendResult(contact, unsent, failure)
        except BaseException as failure:  # unexpected: the send is in doubt
            event = SendResult(contact, SendOutcome(None), failure)
        self.put_event(event)
