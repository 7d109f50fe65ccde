"""
The plug is pulled: what survives is some beginning of the ledger's log, and rubbish after it.

A copy of the log is cut at every frame and between frames. What it must hold is every intent whose
POST had arrived when the log was that long, because that much was on disk before it left.
"""

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from benchmarks.judge import contact_of, judge
from benchmarks.power_cut import watched
from migrator.sandbox import Sandbox
from tests.support.journeys import contact
from tests.support.processes import Operator, eventually, kill

SETTLE = 1.0
WORKERS = 4
OPTIONS = f"--rate max --workers {WORKERS} --settle {SETTLE:g} --timeout 5 --canary 0"
HEADER, FRAME = 32, 4096 + 24


def log_of(operator: Operator) -> Path:
    return operator.ledger.with_name("migrator.db-wal")


def record_of_place() -> Path:
    """The file in the state folder that says how many intents the ledger has."""
    (record,) = Path.home().rglob("ledgers/*")
    return record


class Camera:
    """Looks at what is on disk whenever a POST arrives: how long the log is, and what arrived."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self.arrivals: list[tuple[int, str]] = []
        self.record = b""
        self.database = b""
        self.log = b""

    def look(self, lead: dict[str, str]) -> bool:
        # The record of the place is never ahead of the log, so it is read before it.
        self.record = record_of_place().read_bytes()
        self.log = log_of(self._operator).read_bytes()
        self.database = self._operator.ledger.read_bytes()
        self.arrivals.append((len(self.log), contact_of(lead)))
        return False  # no fault strikes

    def arrived_by(self, length: int) -> set[str]:
        return {contact for log, contact in self.arrivals if log <= length}


def cuts(log: bytes) -> list[int]:
    """Every frame's end, and some places in between."""
    ends = range(HEADER, len(log) + 1, FRAME)
    dice = random.Random(3)
    return sorted({0, *ends, *(dice.randrange(len(log)) for _ in ends)})


def survivor(folder: Path, database: bytes, log: bytes) -> Path:
    path = folder / "survivor.db"
    for old in folder.glob("survivor.db*"):
        old.unlink()
    path.write_bytes(database)
    # A cut write leaves rubbish as often as nothing.
    path.with_name("survivor.db-wal").write_bytes(log + random.Random(len(log)).randbytes(1_000))
    return path


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@pytest.fixture
def operator(sandbox, tmp_path):
    return Operator(tmp_path, sandbox(contacts=24))


def test_every_post_that_arrived_is_announced_in_whatever_survives(operator, tmp_path):
    operator.stage()
    camera = Camera(operator)
    operator.sandbox.fault("refuse", where=camera.look)
    assert operator.run(f"push {OPTIONS}").code == 0
    assert len(camera.arrivals) == 24
    for cut in cuts(camera.log):
        copy = survivor(tmp_path, camera.database, camera.log[:cut])
        announced = ask(copy, "SELECT hubspot_id FROM attempt JOIN contact ON key = contact_key")
        assert camera.arrived_by(cut) <= {hubspot_id for (hubspot_id,) in announced}, cut
        assert ask(copy, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("arrivals", [4, 19])
def test_a_push_resumes_from_what_survives(operator, arrivals):
    operator.stage()
    camera = Camera(operator)
    operator.sandbox.fault("refuse", where=camera.look, times=99)
    operator.sandbox.fault(
        "hang_after_saving", WORKERS, where=lambda _: len(camera.arrivals) > arrivals - WORKERS
    )
    push = operator.start(f"push {OPTIONS}")
    operator.sandbox.wait_until(lambda: len(operator.sandbox.held) >= arrivals, timeout=30)
    kill(push)
    operator.sandbox.calm()
    operator.ledger.with_name("migrator.db-shm").unlink()
    log_of(operator).write_bytes(camera.log + b"rubbish" * 99)
    record_of_place().write_bytes(camera.record)
    resumed = operator.run(f"push --resume {OPTIONS}")
    assert resumed.code == 0, resumed.err
    judge(operator.sandbox, operator.ledger, SETTLE)


def test_a_page_survives_whole_with_its_cursor_or_not_at_all(sandbox, tmp_path):
    operator = Operator(tmp_path / "work", alone(sandbox(contacts=0)))
    operator.folder.mkdir()
    database, log = staged_in_part(operator)
    seen = set()
    for cut in cuts(log):
        copy = survivor(tmp_path, database, log[:cut])
        assert ask(copy, "PRAGMA integrity_check") == [("ok",)]
        if ask(copy, "SELECT count(*) FROM sqlite_schema") != [(0,)]:
            given, there, pages = standing(copy)
            assert given == there == 100 * pages
            seen.add(there)
    assert seen == {0, 100, 200}


def alone(sandbox: Sandbox) -> Sandbox:
    """250 contacts without companies, so that no page waits for another one."""
    for number in range(250):
        sandbox.add_contact(contact(number))
    return sandbox


def standing(path: Path) -> tuple[Any, ...]:
    return ask(
        path,
        "SELECT contacts_seen, (SELECT count(*) FROM contact), pages FROM checkpoint "
        "WHERE name = 'extraction'",
    )[0]


def staged_in_part(operator: Operator) -> tuple[bytes, bytes]:
    """The ledger and its log after two of three pages."""
    operator.sandbox.fault("hubspot_hang", where=lambda query: asked_for_pages(operator) == 3)
    stage = operator.start("stage -q")
    operator.sandbox.wait_until(lambda: asked_for_pages(operator) == 3, timeout=30)
    eventually(lambda: operator.ask("SELECT count(*) FROM contact") == [(200,)], "two pages")
    kill(stage)
    operator.sandbox.calm()
    return operator.ledger.read_bytes(), log_of(operator).read_bytes()


def asked_for_pages(operator: Operator) -> int:
    return sum(one.path.endswith("/contacts") for one in operator.sandbox.received)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_staging_goes_on_from_what_survives(sandbox, tmp_path, share):
    operator = Operator(tmp_path, alone(sandbox(contacts=0)))
    _, log = staged_in_part(operator)
    operator.ledger.with_name("migrator.db-shm").unlink()
    log_of(operator).write_bytes(log[: int(len(log) * share)])
    staged = operator.run("stage")
    assert staged.code == 0, staged.err
    assert standing(operator.ledger)[:2] == (250, 250)


WRITE = "7 pwrite64(3</migrator.db-wal>, ...) = 24"
SYNC = "7 fdatasync(3</migrator.db-wal>) = 0"
BEGUN, OVER = "7 fdatasync(3</migrator.db-wal> <unfinished ...>", "7 <... fdatasync resumed>) = 0"
POST = '8 sendto(5<socket:[1]>, "POST /api/leads HTTP/1.1"..., 900, 0, NULL, 0) = 900'
OTHER = "8 fdatasync(4</migrator.db>) = 0"


@pytest.mark.parametrize(
    ("trace", "early"),
    [
        ([WRITE, SYNC, POST], 0),
        ([WRITE, BEGUN, OTHER, OVER, POST], 0),
        ([WRITE, POST, SYNC], 1),
        ([WRITE, BEGUN, POST, OVER], 1),
        ([WRITE, BEGUN, WRITE.replace("7", "9"), OVER, POST], 1),
        ([WRITE, OTHER, POST], 1),
        ([WRITE, SYNC.replace("= 0", "= -1 EIO"), POST], 1),
    ],
)
def test_what_a_trace_of_the_kernels_calls_shows(trace: list[str], early: int) -> None:
    assert watched(trace)[:2] == (1, early)
