"""
What the last worker left is opened without a look at each page, and what anybody touched with one.

What becomes of a mixture that is let in nevertheless, test_old_copies shows with real pushes.
"""

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from migrator.errors import LedgerError
from migrator.ledger import Ledger
from tests.support.journeys import asked_of_sqlite
from tests.support.processes import ended, start

# Its run is in the database; the log has what it did since.
KILLED = """
import os, sys
from pathlib import Path
from migrator.ledger import Ledger
with Ledger.open_for_work(Path(sys.argv[1])) as ledger:
    run_id = ledger.runs.begin_run("stage")
    ledger._database.execute_outside_transaction("PRAGMA wal_checkpoint(TRUNCATE)")
    for pages in range(3):
        ledger.runs.note_run(run_id, {"pages": pages})
    os._exit(9)
"""


def looks_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether opening it looks at each page."""
    with monkeypatch.context() as patch:
        asked = asked_of_sqlite(patch)
        with Ledger.open_for_work(path):
            pass
    assert asked
    return any("quick_check" in sql for sql in asked)


@pytest.fixture
def closed(tmp_path):
    with Ledger.open_for_work(tmp_path / "migrator.db") as ledger:
        ledger.runs.begin_run("stage")
    return tmp_path / "migrator.db"


def work(path: Path, lines: str) -> int:
    """In a process of its own, and how that ended."""
    command = [sys.executable, "-c", lines, str(path)]
    return ended(start(command, path.parent, dict(os.environ))).code


@pytest.fixture
def killed(closed):
    """Its worker died, and left a log."""
    assert work(closed, KILLED) == 9
    assert log(closed).stat().st_size
    return closed


def log(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def test_what_was_closed_is_trusted(closed, monkeypatch):
    assert not looks_at_all(closed, monkeypatch)


def test_what_a_killed_process_left_is_trusted(killed, monkeypatch):
    assert not looks_at_all(killed, monkeypatch)


def test_what_was_looked_at_is_trusted_from_then_on(killed, monkeypatch):
    killed.chmod(0o640)
    assert looks_at_all(killed, monkeypatch)
    assert not looks_at_all(killed, monkeypatch)


def test_a_report_in_between_takes_no_trust_away(killed, monkeypatch):
    with Ledger.open_read_only(killed) as ledger:
        assert len(ledger.runs.newest(9)) == 2
    assert not looks_at_all(killed, monkeypatch)


def restored(path: Path) -> None:
    """With all times that a copy can carry."""
    shutil.copy2(path, path.with_name("backup"))
    shutil.copy2(path.with_name("backup"), path)


def renamed(path: Path) -> None:
    shutil.copy2(path, path.with_name("backup"))
    path.with_name("backup").replace(path)


def without_its_log(path: Path) -> None:
    log(path).unlink()


def with_another_log(path: Path) -> None:
    content = bytearray(log(path).read_bytes())
    content[16] ^= 1  # the first salt
    log(path).write_bytes(content)


def without_a_note(path: Path) -> None:
    path.with_name(path.name + ".lock").unlink()


def merged_by_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as ledger:
        ledger.execute("PRAGMA wal_checkpoint").fetchall()


@pytest.mark.parametrize(
    "touch",
    [
        restored,
        renamed,
        without_its_log,
        with_another_log,
        without_a_note,
        merged_by_another_program,
    ],
)
def test_what_anybody_touched_is_looked_at(killed, monkeypatch, touch: Callable[[Path], None]):
    touch(killed)
    assert looks_at_all(killed, monkeypatch)


@pytest.mark.parametrize("touch", [restored, renamed])
def test_what_anybody_touched_under_a_worker_is_looked_at(closed, monkeypatch, touch):
    with suppress(LedgerError), Ledger.open_for_work(closed) as ledger:
        run_id = ledger.runs.begin_run("push")
        touch(closed)
        ledger.runs.note_run(run_id, {})
        ledger.runs.note_run(run_id, {})
    assert looks_at_all(closed, monkeypatch)
