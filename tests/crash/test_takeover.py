"""Who lost the lock lost the ledger: paused and woken, it writes nothing more and sends nothing."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from benchmarks.judge import posts
from migrator.errors import ExitCode, LedgerBusy
from migrator.ledger import Intent, Ledger
from migrator.ledger.database import Database
from tests.support.hostile_process import deceived
from tests.support.journeys import Journey, contact
from tests.support.processes import LONGEST_SECONDS, Gate, Operator, kill

PUSH = "push --canary 0 --rate max --settle 1"


@pytest.fixture
def journey(sandbox: Callable[..., Any], tmp_path: Path) -> Iterator[Journey]:
    with Ledger.open_for_work(tmp_path / "migrator.db") as ledger:
        journey = Journey(sandbox(contacts=40), ledger)
        journey.stage()
        yield journey


def delete_locks(folder: Path) -> None:
    """As a cleaner of old files would: the ledger's and the journey's."""
    (folder / "migrator.db.lock").unlink()
    for lock in (Path.home() / ".local" / "state" / "migrator" / "journeys").iterdir():
        lock.unlink()


def without_inode_locks(operator: Operator) -> Operator:
    """On a network file system, or not on Linux: only the file beside the ledger is locked."""
    setup = "import migrator.ledger.lock as lock\nlock._HAS_INODE_LOCKS = False"
    return replace(operator, command=deceived(setup))


def another_run(path: Path) -> None:
    """What a process does first that found no lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO run (command, pid, host) VALUES ('push', 1, 'elsewhere')")


def test_a_push_that_was_paused_while_its_lock_was_deleted_sends_nothing_more(sandbox, tmp_path):
    operator = Operator(tmp_path, sandbox(contacts=30))
    assert operator.run("stage -q").code == ExitCode.DONE
    operator.sandbox.fault("hang_before_saving")
    first = operator.start(f"{PUSH} --workers 1 --timeout 5")
    try:
        operator.sandbox.wait_until(lambda: any(one.fault for one in operator.sandbox.received))
        os.kill(first.pid, signal.SIGSTOP)
        delete_locks(tmp_path)
        second = without_inode_locks(operator).run(f"{PUSH} --resume --timeout 5")
        assert second.code == ExitCode.DONE, second.err
        seen = len(operator.sandbox.received)
        os.kill(first.pid, signal.SIGCONT)
        _, err = first.communicate(timeout=LONGEST_SECONDS)
    finally:
        kill(first)
    assert first.returncode == LedgerBusy.exit_code == ExitCode.BUSY, err
    assert "Another process has taken over the ledger" in err
    assert "migrator push --resume" in err
    assert len(operator.sandbox.received) == seen
    assert operator.sandbox.verdict().ok


def test_a_push_whose_lock_was_deleted_while_it_waited_for_a_token_sends_nothing_more(
    sandbox, tmp_path
):
    operator = Operator(tmp_path, sandbox(contacts=1))
    assert operator.run("stage -q").code == ExitCode.DONE
    # A declined token created nothing: what follows with a new one is still this send.
    operator.sandbox.fault("expire_token")
    gate = Gate(operator, "auth_error", since=lambda: bool(posts(operator.sandbox)))
    first = operator.start(f"{PUSH} --timeout 30")
    try:
        gate.wait()
        os.kill(first.pid, signal.SIGSTOP)
        gate.open()  # its token arrives, and it does not see it yet
        delete_locks(tmp_path)
        second = without_inode_locks(operator).run(f"{PUSH} --resume --timeout 5")
        assert second.code == ExitCode.DONE, second.err
        assert len(operator.sandbox.held) == 1
        os.kill(first.pid, signal.SIGCONT)
        _, err = first.communicate(timeout=LONGEST_SECONDS)
    finally:
        gate.open()
        kill(first)
    assert first.returncode == LedgerBusy.exit_code, err
    assert "Another process has taken over the ledger" in err
    assert [one.status for one in posts(operator.sandbox)] == [401, 201]
    assert operator.sandbox.verdict().ok


def test_nothing_leaves_once_another_run_has_begun_though_the_lock_is_in_place(journey):
    journey.sandbox.fault("expire_token")

    def take_over(_: object) -> bool:
        if posts(journey.sandbox):
            another_run(journey.ledger.path)
        return False  # no fault strikes

    journey.sandbox.fault("auth_error", where=take_over)
    with pytest.raises(LedgerBusy, match="taken over"):
        journey.push(workers=1)
    assert [one.status for one in posts(journey.sandbox)] == [401]


def test_who_was_taken_over_from_writes_neither_intents_nor_outcomes(journey):
    run = journey.ledger.runs.begin_run("push")
    journey.ledger.attempts.record_intents(run, [Intent(1, "x")])
    another_run(journey.ledger.path)
    for act in (
        lambda: journey.ledger.attempts.record_intents(run, [Intent(2, "x")]),
        lambda: journey.ledger.attempts.record_results([]),
        lambda: journey.ledger.runs.end_run(run, 0, {}),
    ):
        with pytest.raises(LedgerBusy, match="taken over"):
            act()
    assert journey.ask("SELECT contact_key, outcome FROM attempt") == [(1, None)]


def test_the_database_says_no_even_to_who_does_not_ask(journey, monkeypatch):
    run = journey.ledger.runs.begin_run("push")
    another_run(journey.ledger.path)
    monkeypatch.setattr(Database, "_check_fence", lambda self: None)
    with pytest.raises(IntegrityError, match="another process has taken over the ledger"):
        journey.ledger.attempts.record_intents(run, [Intent(1, "x")])
    assert journey.ask("SELECT count(*) FROM attempt") == [(0,)]


@pytest.mark.parametrize("replaced", [False, True])
def test_no_work_begins_on_a_lock_that_would_keep_nobody_out(tmp_path, replaced):
    with Ledger.open_for_work(tmp_path / "migrator.db") as ledger:
        lock = tmp_path / "migrator.db.lock"
        lock.unlink()
        if replaced:
            lock.touch()
        with pytest.raises(LedgerBusy, match="deleted or replaced"):
            ledger.runs.begin_run("push")
        assert ledger.runs.newest(1) == []


def test_nothing_leaves_once_the_lock_is_gone_though_its_intent_was_committed(journey):
    lock = journey.ledger.path.with_name("migrator.db.lock")

    def notice(progress):
        if progress.posted and lock.exists():
            lock.unlink()

    with pytest.raises(LedgerBusy, match="deleted or replaced"):
        journey.push(workers=1, notice=notice)
    intents = len(journey.ask("SELECT * FROM attempt"))
    assert len(journey.sandbox.held) < intents < 40
    assert journey.outcomes()["unsent"] == intents - len(journey.sandbox.held)


def test_a_lock_that_is_left_alone_disturbs_nobody(journey):
    journey.sandbox.add_contact(contact(1))
    journey.stage()
    journey.push()
    journey.verify()
    journey.judge()
