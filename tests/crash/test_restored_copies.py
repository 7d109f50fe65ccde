"""
A copy of the ledger that was put back, whole or in parts: nothing is posted twice.

A ledger that was not closed is two files, and SQLite believes whatever log lies beside a database.
"""

import random
import shutil

import pytest

from benchmarks.judge import judge_ledger, judge_patience, posts
from migrator.errors import LedgerError
from tests.support.processes import Operator, ended, kill

SETTLE = 1.0
OPTIONS = f"--rate max --workers 4 --settle {SETTLE:g} --timeout 5 --canary 0"
FAT = "x" * 20_000


@pytest.fixture
def operator(sandbox, tmp_path):
    operator = Operator(tmp_path, sandbox(contacts=60))
    operator.stage()
    return operator


def copied(operator: Operator) -> None:
    shutil.copy(operator.ledger, operator.folder / "backup.db")


def put_back(operator: Operator) -> None:
    shutil.copy(operator.folder / "backup.db", operator.ledger)


def drop_the_log(operator: Operator) -> None:
    for name in ("migrator.db-wal", "migrator.db-shm"):
        (operator.folder / name).unlink(missing_ok=True)


def kill_a_push(operator: Operator, posted: int) -> None:
    """It dies after so many leads more, and leaves its log behind."""
    operator.sandbox.fault("slow", times=1_000, where=lambda _: len(operator.sandbox.held) >= want)
    want = len(operator.sandbox.held) + posted
    push = operator.start(f"push {OPTIONS}")
    operator.sandbox.wait_until(lambda: len(operator.sandbox.held) >= want + 4, timeout=30)
    kill(push)
    operator.sandbox.calm()
    assert (operator.folder / "migrator.db-wal").stat().st_size


def assert_ends_well(operator: Operator, more: str = "") -> None:
    resumed = operator.run(f"push --resume {OPTIONS} {more}")
    assert resumed.code == 0, resumed.err
    # No more than this: the intents of what was adopted went away with the newer ledger.
    verdict = operator.sandbox.verdict()
    assert verdict.ok, verdict
    judge_patience(operator.sandbox, SETTLE)
    judge_ledger(operator.sandbox, operator.ledger)
    assert operator.ask("PRAGMA integrity_check") == [("ok",)]


def test_an_older_copy_beside_a_newer_log_is_refused(operator):
    copied(operator)
    assert operator.run(f"push --limit 20 {OPTIONS}").code == 0
    kill_a_push(operator, 12)
    put_back(operator)
    sent = len(posts(operator.sandbox))
    result = operator.run(f"push --resume {OPTIONS}")
    assert result.code == LedgerError.exit_code
    assert "it is damaged" in result.err
    assert "move it away, with its -wal file" in result.err
    assert len(posts(operator.sandbox)) == sent
    drop_the_log(operator)
    put_back(operator)
    assert_ends_well(operator)


def test_a_log_that_is_missing_makes_the_ledger_an_older_copy(operator):
    kill_a_push(operator, 12)
    drop_the_log(operator)
    assert operator.ask("SELECT count(*) FROM attempt") == [(0,)]
    assert_ends_well(operator)


def test_a_copy_of_both_files_knows_what_was_in_flight(operator):
    kill_a_push(operator, 12)
    copy = operator.folder / "elsewhere"
    copy.mkdir()
    for path in operator.folder.glob("migrator.db*"):
        shutil.copy(path, copy)
    assert Operator(copy, operator.sandbox).run(f"push --resume {OPTIONS}").code == 5
    assert_ends_well(Operator(copy, operator.sandbox), "--take-over")


def test_damage_in_the_middle_of_a_push_stops_it(sandbox, tmp_path):
    operator = Operator(tmp_path, sandbox(contacts=0))
    for number in range(120):
        operator.sandbox.add_contact(
            {"email": f"ada{number}@x.example", "lastname": f"No{number}", "jobtitle": FAT}
        )
    assert operator.run("stage -q").code == 0
    copied(operator)
    push = operator.start(f"push {OPTIONS}")
    operator.sandbox.fault("refuse", where=lambda _: rot(operator))
    result = ended(push)
    operator.sandbox.calm()
    assert result.code == LedgerError.exit_code, result
    assert "it is damaged" in result.err
    assert "Traceback" not in result.err
    assert 0 < len(posts(operator.sandbox)) < 120
    drop_the_log(operator)
    put_back(operator)
    assert_ends_well(operator)


def rot(operator: Operator) -> bool:
    """Overwrite all but the first pages, in the file and not in anybody's memory."""
    size = operator.ledger.stat().st_size
    with operator.ledger.open("r+b") as ledger:
        ledger.seek(40 * 4096)
        ledger.write(random.Random(1).randbytes(size - 40 * 4096))
    return False
