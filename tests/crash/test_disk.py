"""
A disk that takes no more, at any write: nothing is sent without its intent, and nothing is lost.

The limit is one of the operating system, laid on a process that runs: no file of it may grow
further. `python -m benchmarks.full_disk` shows the same on a real file system that is full.
"""

import json
import resource

import pytest

from benchmarks.judge import contact_of, judge, posts
from migrator.errors import LedgerError
from migrator.ledger import Ledger
from migrator.ledger.runs import Runs
from migrator.ledger_errors import LedgerProblem, ledger_error
from tests.support.inprocess_cli import PUSH, RESUME, stops
from tests.support.processes import Operator, Process, Result, ended

SETTLE = 1.0
OPTIONS = f"--rate max --settle {SETTLE:g} --timeout 5 --canary 0"
# A page, and what the log writes before it.
FRAME = 4096 + 24


@pytest.fixture
def operator(sandbox, tmp_path):
    return Operator(tmp_path, sandbox(contacts=24, slow_seconds=0.5))


@pytest.fixture
def staged(operator):
    operator.stage()
    return operator


def fill_up(process: Process, operator: Operator, frames: int = 0) -> None:
    """From now on the log of the ledger may grow by so many frames, and no further."""
    size = operator.ledger.with_name("migrator.db-wal").stat().st_size + frames * FRAME
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def full_when(operator: Operator, fault: str, words: str, frames: int = 0) -> Result:
    """Type a command; the disk is full from its first request on that this could strike."""
    process = operator.start(words)

    def fill(_: object) -> bool:
        fill_up(process, operator, frames)
        return False  # it does not strike

    operator.sandbox.fault(fault, where=fill)
    result = ended(process)
    operator.sandbox.calm()
    return result


def assert_says_full(
    result: Result, operator: Operator, again: str = "migrator push --resume"
) -> None:
    assert result.code == LedgerError.exit_code, result
    assert (
        f"error: The ledger {operator.ledger} cannot be used: the disk or a quota is full, "
        f"or the disk is faulty.\nnext: free some space, then {again}; "
        "nothing that was committed is lost\n"
    ) in result.err
    assert "Traceback" not in result.err


def assert_every_send_was_announced(operator: Operator) -> None:
    attempts = operator.ask("SELECT hubspot_id FROM attempt JOIN contact ON key = contact_key")
    sent = {contact_of(one.lead) for one in posts(operator.sandbox)}
    assert sent <= {hubspot_id for (hubspot_id,) in attempts}


def assert_ends_well(operator: Operator) -> None:
    resumed = operator.run(f"push --resume {OPTIONS}")
    assert resumed.code == 0, resumed.err
    judge(operator.sandbox, operator.ledger, SETTLE)
    assert operator.ask("PRAGMA integrity_check") == [("ok",)]


def count(operator: Operator, what: str) -> int:
    return int(operator.ask(f"SELECT count(*) FROM {what}")[0][0])


def test_while_staging(operator):
    # The schema's own log is in the file by then, and the log begins anew: all but two frames of
    # it are taken away.
    schema = log_of_a_new_ledger(operator)
    result = full_when(operator, "hubspot_error", "stage", frames=2 - schema)
    assert_says_full(result, operator, "run the same command again")
    assert count(operator, "contact") == 0
    assert operator.run("stage -q").code == 0
    assert_ends_well(operator)


def log_of_a_new_ledger(operator: Operator) -> int:
    """Its length in frames while the first process is at work."""
    elsewhere = Operator(operator.folder / "elsewhere", operator.sandbox)
    elsewhere.folder.mkdir()
    with Ledger.open_for_work(elsewhere.ledger):
        return elsewhere.ledger.with_name("migrator.db-wal").stat().st_size // FRAME


def test_before_the_first_intent_is_committed(staged):
    # One frame more is what it takes to remember that the client was looked through.
    result = full_when(staged, "list_error", f"push {OPTIONS}", frames=1)
    assert_says_full(result, staged)
    assert count(staged, "attempt") == 0
    assert posts(staged.sandbox) == []
    assert_ends_well(staged)


def test_after_a_lead_was_created_and_before_its_outcome_is_committed(staged):
    result = full_when(staged, "refuse", f"push --workers 1 {OPTIONS}")
    assert_says_full(result, staged)
    assert count(staged, "attempt WHERE outcome IS NULL") == 1
    assert len(staged.sandbox.held) == len(posts(staged.sandbox)) == 1
    assert_ends_well(staged)
    assert staged.ask("SELECT outcome FROM attempt WHERE contact_key = 1") == [("found",)]


def test_what_is_in_flight_is_awaited(staged):
    staged.sandbox.fault("slow", times=3)
    result = full_when(staged, "refuse", f"push --workers 4 {OPTIONS}")
    assert_says_full(result, staged)
    assert [one.status for one in posts(staged.sandbox)] == [201] * 4
    assert count(staged, "attempt WHERE outcome IS NULL") == 4
    assert_ends_well(staged)


def test_at_one_write_after_the_other(staged):
    for frames in (1, 3, 6, 9, 12, 15):
        full = full_when(staged, "auth_error", f"push --resume --workers 4 {OPTIONS}", frames)
        assert_says_full(full, staged)
        assert_every_send_was_announced(staged)
    assert_ends_well(staged)


def test_the_ledger_says_afterwards_how_it_stands(staged):
    full_when(staged, "refuse", f"push --workers 1 {OPTIONS}")
    report = staged.run("report")
    assert report.code == 0
    assert "Next: migrator push --resume   (1 contact is in doubt)" in report.out
    refused = staged.run(f"push {OPTIONS}")
    assert refused.code == 4
    assert "next: migrator push --resume" in refused.err


def test_before_the_end_of_a_push_is_committed(three, monkeypatch):
    def full(self: Runs, *end: object) -> None:
        raise ledger_error(LedgerProblem.DISK_FULL, three.folder / "migrator.db")

    with monkeypatch.context() as disk:
        disk.setattr(Runs, "end_run", full)
        result = three.type(f"{PUSH} --json")
    again = "free some space, then migrator push --resume"
    stops(result, LedgerError.exit_code, f"next: {again}; nothing that was committed is lost")
    end = json.loads(result.out.splitlines()[-1])
    assert (end["posted"], end["next"].startswith(again)) == (len(three.sandbox.held), True)
    stops(three.type(PUSH), 4, "next: migrator push --resume")
    assert three.type(RESUME).code == 0
