"""The worker threads: which intents leave, and what becomes of those that do not."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from migrator.errors import LedgerBusy
from migrator.http import SendOutcome
from migrator.ledger import ContactToSend
from migrator.push.workers import (
    SHORTEST_LIFE_SECONDS,
    NotSentAfterAll,
    SendResult,
    WorkerPool,
)
from migrator.push.writes import Creates
from migrator.states import Outcome
from tests import at_once

SETTLE = 60.0
CREATED = SendOutcome(Outcome.CREATED, 201, created_id="lead-1")
FIRST, SECOND = ContactToSend(1, "1", {}), ContactToSend(2, "2", {})

MayLeave = Callable[[], None]


class Clock:
    """A clock that a test moves, in place of the one that goes on while the machine sleeps."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        patch.setattr("migrator.push.workers.awake_or_asleep", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Sends(Creates):
    """Creates that are sent by a function."""

    def __init__(self, send: Callable[[bytes, MayLeave], SendOutcome]) -> None:
        self._by = send

    def send(self, contact: ContactToSend, body: bytes, may_leave: MayLeave) -> SendOutcome:
        return self._by(body, may_leave)


@contextmanager
def pool(
    send: Callable[[bytes, MayLeave], SendOutcome],
    check_sender: MayLeave = at_once,
    settle_seconds: float = SETTLE,
) -> Iterator[WorkerPool]:
    one = WorkerPool(1, Sends(send), check_sender, lambda news: True, settle_seconds)
    try:
        yield one
    finally:
        one.close()


def events(one: WorkerPool, count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        found += one.events(5.0, 0)
    return found


def leaves(body: bytes, may_leave: MayLeave) -> SendOutcome:
    may_leave()
    return CREATED


@pytest.mark.parametrize(("age", "is_sent"), [(SETTLE / 2, True), (SETTLE / 2 + 0.1, False)])
def test_an_intent_that_waited_for_a_worker_for_half_of_settle_is_handed_back(
    clock: Clock, age: float, is_sent: bool
) -> None:
    is_free, bodies = threading.Event(), []

    def send(body: bytes, may_leave: MayLeave) -> SendOutcome:
        bodies.append(body)
        assert is_free.wait(5.0)
        return CREATED

    with pool(send) as one:
        one.submit(FIRST, b"first", 0, clock.now)
        one.submit(SECOND, b"second", 0, clock.now)
        clock.now += age
        is_free.set()
        sent, other = events(one, 2)
    assert sent == SendResult(FIRST, CREATED)
    assert other == (SendResult(SECOND, CREATED) if is_sent else NotSentAfterAll(SECOND))
    assert bodies == [b"first", b"second"][: 1 + is_sent]


def test_an_intent_that_became_too_old_while_a_token_was_fetched_does_not_leave(
    clock: Clock,
) -> None:
    logins = iter([SETTLE, 0.0])

    def send(body: bytes, may_leave: MayLeave) -> SendOutcome:
        clock.now += next(logins)
        return leaves(body, may_leave)

    with pool(send) as one:
        one.submit(FIRST, b"", 0, clock.now)
        assert events(one, 1) == [NotSentAfterAll(FIRST)]
        # Claimed again, it has a new age.
        one.submit(FIRST, b"", 0, clock.now)
        assert events(one, 1) == [SendResult(FIRST, CREATED)]


def test_an_intent_ages_while_it_is_asked_who_may_send(clock: Clock) -> None:
    def slow() -> None:
        clock.now += SETTLE

    with pool(leaves, check_sender=slow) as one:
        one.submit(FIRST, b"", 0, clock.now)
        assert events(one, 1) == [NotSentAfterAll(FIRST)]


def test_an_intent_ages_while_it_is_committed(clock: Clock) -> None:
    with pool(leaves) as one:
        one.submit(FIRST, b"", 0, clock.now - SETTLE)
        assert events(one, 1) == [NotSentAfterAll(FIRST)]


def test_who_may_not_send_ends_the_run_with_nothing_sent(clock: Clock) -> None:
    error = LedgerBusy("taken over", "wait")

    def refuse() -> None:
        raise error

    with pool(leaves, check_sender=refuse) as one:
        one.submit(FIRST, b"", 0, clock.now)
        (event,) = events(one, 1)
    assert event.error is error
    assert event.sent.outcome is Outcome.UNSENT


def test_with_a_settle_for_tests_an_intent_lives_long_enough_to_leave(clock: Clock) -> None:
    def send(body: bytes, may_leave: MayLeave) -> SendOutcome:
        clock.now += SHORTEST_LIFE_SECONDS / 2
        may_leave()
        return CREATED

    with pool(send, settle_seconds=0.001) as one:
        one.submit(FIRST, b"", 0, clock.now)
        assert events(one, 1) == [SendResult(FIRST, CREATED)]


def test_what_no_worker_has_begun_is_not_sent_once_the_pool_closes(clock: Clock) -> None:
    bodies = []

    def send(body: bytes, may_leave: MayLeave) -> SendOutcome:
        bodies.append(body)
        one.submit(SECOND, b"second", 0, clock.now)
        closing.start()
        with pytest.raises(RuntimeError, match="after shutdown"):
            while True:
                one.submit(SECOND, b"later", 0, clock.now)
        return CREATED

    with pool(send) as one:
        closing = threading.Thread(target=one.close)
        one.submit(FIRST, b"first", 0, clock.now)
        assert events(one, 1) == [SendResult(FIRST, CREATED)]
        closing.join()
    assert bodies == [b"first"]
