"""The lock on the ledger's own inode: it holds under every name, and without the file beside it."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.judge import posts
from migrator.errors import LedgerBusy
from migrator.ledger import lock as locks
from tests.support.processes import Operator, Process, ended, kill

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is on Linux only")

PUSH = "push --resume --canary 0 --rate max --settle 1 --workers 1 --timeout 5"


@pytest.fixture
def operator(sandbox, tmp_path: Path) -> Operator:
    operator = Operator(tmp_path, sandbox(contacts=4))
    operator.stage()
    return operator


@pytest.fixture
def elsewhere(operator: Operator) -> Operator:
    """The same one in a folder where the ledger has another name."""
    folder = operator.folder / "elsewhere"
    folder.mkdir()
    os.link(operator.ledger, folder / "migrator.db")
    return replace(operator, folder=folder)


@pytest.fixture
def stopped(operator: Operator) -> Iterator[Process]:
    """A push that is stopped in the middle of its first send."""
    operator.sandbox.fault("hang_before_saving")
    push = operator.start(PUSH)
    try:
        operator.sandbox.wait_until(lambda: any(one.fault for one in operator.sandbox.received))
        push.send_signal(signal.SIGSTOP)
        yield push
    finally:
        kill(push)


def test_a_ledger_that_is_worked_on_under_another_name_is_busy(operator, elsewhere, stopped):
    before = sorted(elsewhere.folder.iterdir())
    second = elsewhere.run(PUSH)
    assert second.code == LedgerBusy.exit_code
    assert "a hard link" in second.err
    assert len(posts(operator.sandbox)) == 1
    # SQLite did not open it there: it would have begun a second log.
    assert {one.name for one in elsewhere.folder.iterdir()} - {"migrator.db.lock"} == {
        one.name for one in before
    }
    stopped.send_signal(signal.SIGCONT)
    assert ended(stopped).code == 0
    assert operator.sandbox.verdict().ok


def test_a_kill_frees_it(operator, elsewhere, stopped):
    assert elsewhere.run("stage -q").code == LedgerBusy.exit_code
    stopped.kill()
    stopped.wait()
    assert elsewhere.run("stage -q").code == 0


def test_an_end_frees_it(operator, elsewhere):
    assert operator.run(PUSH).code == 0
    assert elsewhere.run("stage -q").code == 0


def test_a_new_ledger_is_locked_from_its_creation(sandbox, tmp_path):
    operator = Operator(tmp_path, sandbox(contacts=4))
    operator.sandbox.fault("hubspot_hang")
    stage = operator.start("stage")
    try:
        operator.sandbox.wait_until(lambda: any(one.fault for one in operator.sandbox.received))
        os.link(operator.ledger, tmp_path / "other.db")
        assert operator.run("stage --ledger other.db").code == LedgerBusy.exit_code
    finally:
        kill(stage)


def test_a_deleted_lock_file_lets_no_other_process_in(operator, stopped):
    (operator.folder / "migrator.db.lock").unlink()
    second = operator.run(PUSH)
    assert second.code == LedgerBusy.exit_code
    assert "not under its lock file" in second.err
    assert len(posts(operator.sandbox)) == 1


def test_the_locks_of_sqlite_hold_while_it_is_held_and_reports_are_read(operator, stopped):
    """A descriptor that was closed under SQLite would have dropped them."""
    assert operator.run("report").code == 0
    held = Path("/proc/locks").read_text().splitlines()
    inode = f":{operator.ledger.stat().st_ino} "
    kinds = {line.split()[1] for line in held if inode in line and f" {stopped.pid} " in line}
    assert kinds == {"FLOCK", "POSIX"}


def test_what_was_released_is_free_and_can_be_locked_again(tmp_path):
    ledger, other = tmp_path / "migrator.db", tmp_path / "other.db"
    ledger.touch()
    os.link(ledger, other)
    first, second = locks.Lock(ledger), locks.Lock(other)
    for _ in range(2):
        first.acquire(0.0)
        with pytest.raises(locks.HeldUnderAnotherName):
            second.acquire(0.0)
        first.release()
        second.acquire(0.0)
        second.release()


def test_on_a_network_file_system_it_is_left_out(tmp_path, monkeypatch):
    ledger = tmp_path / "migrator.db"
    ledger.touch()
    other = tmp_path / "other.db"
    os.link(ledger, other)
    monkeypatch.setattr(locks, "is_on_network", lambda path: True)
    first, second = locks.Lock(ledger), locks.Lock(other)
    for one in (first, second):
        one.acquire(0.0)
    for one in (second, first):
        one.release()
