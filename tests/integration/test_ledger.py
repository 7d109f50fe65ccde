"""
Every question and move of the ledger, on a real file.

Whatever a test does, afterwards the ledger is closed, opened again, and must be whole: the same
content, no broken page, no dangling key, and sums that close.
"""

import fcntl
import os
import re
import signal
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from migrator.counters import VerifyCounters
from migrator.errors import ExitCode, LedgerBusy, LedgerError, WrongJourney
from migrator.ledger import (
    MAX_ATTEMPTS,
    AttemptResult,
    Binding,
    ChangedLead,
    Checkpoint,
    ContactToMap,
    ContactToSend,
    Doubt,
    DuplicateLeads,
    ExcludedContact,
    ExtractedContact,
    ExtractedPage,
    HeldContact,
    Intent,
    LeadIdentity,
    Ledger,
    MappedContact,
    MatchedContact,
    SeenLead,
    StateCount,
    StoredContact,
    UnclaimedLead,
    UnknownLead,
    contacts,
    is_locked,
    opening,
    schema,
    verification,
)
from migrator.ledger.fingerprint import fingerprint
from migrator.ledger.lock import noted_fingerprint
from migrator.states import Hold, Outcome, State
from tests.support.processes import Process, kill, start


@pytest.fixture
def ledger(tmp_path: Path, new_ledger: bytes) -> Iterator[Ledger]:
    path = tmp_path / "migrator.db"
    path.touch(mode=0o600)
    path.write_bytes(new_ledger)
    with Ledger.open_for_work(path) as ledger:
        yield ledger
        kept = content(path)
    with Ledger.open_for_work(path):
        assert content(path) == kept
    with reading(path) as db:
        for check, expected in WHOLE.items():
            assert db.execute(check).fetchall() == db.execute(expected).fetchall(), check


# What must be the same in a ledger that is whole.
WHOLE = {
    "PRAGMA integrity_check": "SELECT 'ok'",
    "PRAGMA foreign_key_check": "SELECT 1 WHERE 0",
    "SELECT sum(contacts) FROM state_count": "SELECT nullif(count(*), 0) FROM contact",
    "SELECT contacts_seen FROM checkpoint WHERE name = 'extraction'": (
        "SELECT count(*) FROM contact"
    ),
}


def look(path: Path, question: str, *values: Any) -> list[Any]:
    """What anybody else reads from the file now: only what was committed."""
    with reading(path) as db:
        return db.execute(question, values).fetchall()


def content(path: Path) -> list[Any]:
    """The schema, and all rows of all tables."""
    with reading(path) as db:
        found = db.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
        tables = [name for type_, name, _ in found if type_ == "table"]
        return [found, *(db.execute(f"SELECT * FROM {name}").fetchall() for name in tables)]


def reading(path: Path) -> AbstractContextManager[sqlite3.Connection]:
    return closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True))


def place(ledger: Ledger, hubspot_id: str) -> tuple[str, str | None]:
    """(state, hold) of a contact."""
    question = "SELECT state, held FROM contact WHERE hubspot_id = ?"
    (row,) = look(ledger.path, question, hubspot_id)
    return row[0], row[1]


def detail(ledger: Ledger, hubspot_id: str) -> Any:
    [(key,)] = look(ledger.path, "SELECT key FROM contact WHERE hubspot_id = ?", hubspot_id)
    return ledger.lookup.summaries([key])[0].detail


def page(*hubspot_ids: str, cursor: str | None = None, **parts: Any) -> ExtractedPage:
    new = [ExtractedContact(name, f'{{"id": "{name}"}}', None, None) for name in hubspot_ids]
    nothing = ("changed", "changed_since_sent", "current")
    empty: dict[str, Any] = {"companies": {}, **{name: [] for name in nothing}}
    return ExtractedPage(new=new, cursor=cursor, **{**empty, **parts})


def extract(ledger: Ledger, *hubspot_ids: str, **parts: Any) -> None:
    scan = ledger.runs.begin_scan("extraction").scan
    ledger.contacts.write_page(page(*hubspot_ids, **parts), scan)


def build(ledger: Ledger, **emails: str) -> None:
    """Map extracted contacts: HubSpot's id = e-mail."""
    keys = dict(look(ledger.path, "SELECT hubspot_id, key FROM contact"))
    ledger.contacts.write_mapped(
        [MappedContact(keys[name], lead_of(email), email, None) for name, email in emails.items()],
        [],
    )


def lead_of(email: str) -> str:
    return f'{{"email": "{email}"}}'


def stage(ledger: Ledger, **emails: str) -> None:
    """New contacts, mapped: HubSpot's id = e-mail. The keys of the first ones are 1, 2, ..."""
    extract(ledger, *emails)
    build(ledger, **emails)


def change(ledger: Ledger, hubspot_id: str) -> None:
    """HubSpot gives a contact again, with other properties."""
    extract(ledger, changed=[ExtractedContact(hubspot_id, '{"new": 1}', None, None)])


def since_sent(hubspot_id: str) -> ChangedLead:
    """HubSpot gives a sent contact again, and its lead would be another one."""
    return ChangedLead(ExtractedContact(hubspot_id, f'{{"now": "{hubspot_id}"}}', None, None), "{}")


def intend(ledger: Ledger, *keys: int) -> None:
    run = ledger.runs.begin_run("push")
    ledger.attempts.record_intents(run, [Intent(key, "hash") for key in keys])


def end(ledger: Ledger, key: int, outcome: Outcome | None, **rest: Any) -> None:
    ledger.attempts.record_results([AttemptResult(key, outcome, **rest)])


def post(ledger: Ledger, *keys: int) -> None:
    intend(ledger, *keys)
    for key in keys:
        end(ledger, key, Outcome.CREATED, lead_id=f"L{key}")


def verify(
    ledger: Ledger, *sightings: SeenLead, not_compared: Collection[str] = ()
) -> VerifyCounters:
    ledger.verification.begin()
    ledger.verification.write_sightings(sightings, None)
    return ledger.verification.conclude(not_compared)


def seen(
    lead_id: str, key: int | None, differs: str | None = None, lacks: str | None = None, **more: Any
) -> SeenLead:
    return SeenLead(lead_id, key, differs=differs, lacks=lacks, **more)


def lead(lead_id: str, *hubspot_ids: str, email: str | None = None, **more: Any) -> LeadIdentity:
    return LeadIdentity(lead_id, frozenset(hubspot_ids), email, **more)


# ── opening: what it makes ───────────────────────────────────────────────────────────────────────

ADA, BOB, CYD = "ada@x.example", "bob@x.example", "cyd@x.example"


def test_a_commit_survives_a_power_cut(ledger: Ledger) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "fullfsync": 1}
    for pragma, value in wanted.items():
        assert ledger._database.one(f"PRAGMA {pragma}")[0] == value


def test_work_on_a_ledger_leaves_no_file_open(tmp_path: Path) -> None:
    def files() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    before = files()
    with Ledger.open_for_work(tmp_path / "migrator.db") as ledger:
        ledger.runs.begin_run("stage")
        at_work = files()
        for _ in range(3):
            ledger.runs.begin_run("stage")
        assert files() == at_work
    with Ledger.open_read_only(tmp_path / "migrator.db") as ledger:
        ledger.copy_to(tmp_path / "copy.db")
    assert not is_locked(tmp_path / "migrator.db")
    another_database(tmp_path / "other.db")
    for door in DOORS:
        refused(door, tmp_path / "other.db")
    assert files() == before


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_all_files_are_their_owners_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with Ledger.open_for_work(tmp_path / "migrator.db") as ledger:
            stage(ledger, a=ADA)
            names = {"migrator.db", "migrator.db-wal", "migrator.db-shm", "migrator.db.lock"}
            assert modes(tmp_path) == dict.fromkeys(names, 0o600)
    finally:
        os.umask(before)


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "migrator.db"
    path.touch(mode=0o644)
    path.chmod(0o644)
    with Ledger.open_for_work(path) as ledger:
        stage(ledger, a=ADA)
        assert set(modes(tmp_path).values()) == {0o600}


def test_a_file_system_without_modes_can_hold_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, mode: int) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    before = os.umask(0)
    try:
        with Ledger.open_for_work(tmp_path / "migrator.db") as ledger:
            # It was its owner's alone before anybody could narrow it.
            assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_an_empty_file_becomes_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "migrator.db"
    path.touch()
    with Ledger.open_for_work(path) as ledger:
        assert ledger.counts.sums() == []


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "my ledger?mode=memory#%41 ünï.db"
    with Ledger.open_for_work(path) as ledger:
        assert ledger.path == path
        stage(ledger, a=ADA)
    with Ledger.open_read_only(path) as reading:
        assert reading.counts.to_send() == 1
    assert all(one.name.startswith(path.name) for one in tmp_path.iterdir())


def test_a_half_loaded_schema_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "migrator.db"
    whole = schema()
    monkeypatch.setattr(opening, "schema", lambda: whole + "\nCREATE NONSENSE;\n")
    with pytest.raises(OperationalError), Ledger.open_for_work(path):
        pass
    assert look(path, "SELECT count(*) FROM sqlite_schema") == [(0,)]
    monkeypatch.undo()
    with Ledger.open_for_work(path) as ledger:
        assert ledger.counts.sums() == []


# ── opening: what it refuses ─────────────────────────────────────────────────────────────────────


def garbage(path: Path) -> None:
    path.write_bytes(b"name,email\nAda,ada@x.example\n" * 100)


def truncated(path: Path) -> None:
    a_ledger(path)
    path.write_bytes(path.read_bytes()[:5_000])


def cut_to_its_header(path: Path) -> None:
    a_ledger(path)
    path.write_bytes(path.read_bytes()[:100])


def another_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE contact (id INTEGER)")


def newer(path: Path) -> None:
    a_ledger(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def a_ledger(path: Path) -> None:
    with Ledger.open_for_work(path) as ledger:
        stage(ledger, a=ADA)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")


UNUSABLE = [
    (garbage, "not a SQLite database"),
    (truncated, "damaged"),
    (cut_to_its_header, "not a SQLite database|damaged"),
    (another_database, "not a migrator ledger"),
    (newer, "newer migrator .*version 99"),
]
DOORS = [Ledger.open_for_work, Ledger.open_read_only]
Door = Callable[[Path], AbstractContextManager[Ledger]]


def refused(door: Door, path: Path) -> LedgerError:
    with pytest.raises(LedgerError) as refusal, door(path):
        pass
    error = refusal.value
    assert str(path) in error.message
    assert "\n" not in error.message
    assert "sqlalche.me" not in error.message
    assert error.hint
    is_busy = isinstance(error, LedgerBusy)
    assert error.exit_code is (ExitCode.BUSY if is_busy else ExitCode.LEDGER)
    assert error.__suppress_context__ or error.__context__ is None
    return error


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("damage", "words"), UNUSABLE)
def test_what_is_no_ledger_is_named_as_what_it_is(
    tmp_path: Path, door: Door, damage: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "migrator.db"
    damage(path)
    error = refused(door, path)
    assert re.search(words, error.message), error.message
    assert refused(door, path).message == error.message, "the first try left something behind"


@pytest.mark.parametrize("damage", [garbage, another_database])
@pytest.mark.parametrize("door", DOORS)
def test_what_is_not_ours_is_left_as_it_was(
    tmp_path: Path, door: Door, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "theirs"
    damage(path)
    path.chmod(0o644)
    before = path.read_bytes()
    refused(door, path)
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", [".", "..", "/", "../here"])
def test_a_folder_is_no_ledger(tmp_path: Path, door: Door, name: str) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    os.chdir(tmp_path / "there")
    assert "is not a file" in refused(door, Path(name)).message


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, door: Door, name: str) -> None:
    refused(door, tmp_path / name)


def test_reading_makes_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    error = refused(Ledger.open_read_only, tmp_path / "migrator.db")
    assert error.hint == "migrator stage, which creates it; or name another file with --ledger"
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_cannot_be_read_as_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "migrator.db"
    path.touch()
    assert "not a migrator ledger" in refused(Ledger.open_read_only, path).message


@pytest.mark.parametrize("make", [Path.touch, garbage, another_database])
def test_a_file_that_is_not_a_ledger_gets_no_lock_file(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "migrator.db"
    make(path)
    refused(partial(Ledger.open_for_work, creates=False), path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    error = refused(Ledger.open_for_work, tmp_path / "no" / "migrator.db")
    assert error.hint == f"mkdir -p {tmp_path / 'no'}"


@pytest.mark.skipif(not Path("/sys/kernel").exists(), reason="needs a folder that refuses root too")
def test_a_folder_that_takes_no_files_is_named() -> None:
    error = refused(Ledger.open_for_work, Path("/sys/migrator.db"))
    assert type(error) is LedgerError
    assert "cannot be locked" in error.message


def test_damage_is_named_to_who_only_reads(tmp_path: Path) -> None:
    path = tmp_path / "migrator.db"
    a_ledger(path)
    (first,) = look(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'contact'")[0]
    with path.open("r+b") as file:
        file.seek(4_096 * (first - 1))
        file.write(b"\xff" * 4_096)
    with pytest.raises(LedgerError, match="damaged"), Ledger.open_read_only(path):
        pass


def test_a_full_disk_keeps_what_was_committed(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    (pages,) = ledger._database.one("PRAGMA page_count")
    ledger._database.one(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerError, match="disk is full"):
        extract(ledger, *(f"{number:>9}" for number in range(2_000)))
    ledger._database.one("PRAGMA max_page_count = 1000000")
    assert ledger.runs.checkpoint("extraction").contacts_seen == 1
    extract(ledger, "b")


def test_another_program_that_keeps_it_locked_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT_SECONDS", 0.05)
    path = tmp_path / "migrator.db"
    with Ledger.open_for_work(path) as ledger, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="another program keeps it locked"):
            ledger.runs.begin_run("push")
        other.rollback()
        assert ledger.runs.begin_run("push") == 1


def test_our_own_fault_is_not_blamed_on_the_file_and_names_nobody(ledger: Ledger) -> None:
    stage(ledger, ada=ADA)
    with pytest.raises(IntegrityError, match="UNIQUE") as fault:
        extract(ledger, "ada")
    assert "ada" not in str(fault.value)


# ── opening: one at work, any number reading ─────────────────────────────────────────────────────

HOLDER = """
import sys, time
from pathlib import Path
from migrator.ledger import Ledger
with Ledger.open_for_work(Path(sys.argv[1])) as ledger:
    if len(sys.argv) > 2:
        ledger.runs.begin_run(sys.argv[2])
    print("at work", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_process(path: Path, *command: str) -> Iterator[Process]:
    words = [sys.executable, "-c", HOLDER, str(path), *command]
    process = start(words, path.parent, dict(os.environ))
    try:
        assert process.stdout
        assert process.stdout.readline() == "at work\n"
        yield process
    finally:
        kill(process)


def test_a_second_process_is_told_who_is_at_work(tmp_path: Path) -> None:
    path = tmp_path / "migrator.db"
    with another_process(path, "push --resume") as holder:
        error = refused(Ledger.open_for_work, path)
        assert type(error) is LedgerBusy
        assert f"`migrator push --resume`, process {holder.pid}" in error.message
        assert is_locked(path)


def test_a_process_that_does_not_say_who_it_is_keeps_others_out_all_the_same(
    tmp_path: Path,
) -> None:
    path = tmp_path / "migrator.db"
    with another_process(path):
        assert "an unknown process" in refused(Ledger.open_for_work, path).message


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "migrator.db"
    with another_process(path, "push") as holder:
        os.kill(holder.pid, signal.SIGKILL)
        assert holder.wait(10) == -signal.SIGKILL
        assert not is_locked(path)
        with Ledger.open_for_work(path) as ledger:
            assert ledger.runs.newest(1)[0].pid == holder.pid
            assert ledger.runs.newest(1)[0].exit_code is None


def test_the_one_at_work_is_named_and_not_one_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "migrator.db"
    with Ledger.open_for_work(path) as ledger:
        ledger.runs.begin_run("stage")
    with another_process(path, "push"):
        assert "`migrator push`" in refused(Ledger.open_for_work, path).message


def test_two_in_one_process_are_kept_apart_too(ledger: Ledger) -> None:
    with pytest.raises(LedgerBusy), Ledger.open_for_work(ledger.path):
        pass
    assert ledger.runs.begin_run("push") == 1


def test_looking_at_the_lock_makes_none_and_takes_none(tmp_path: Path) -> None:
    path = tmp_path / "migrator.db"
    assert not is_locked(path)
    assert list(tmp_path.iterdir()) == []
    with Ledger.open_for_work(path):
        assert is_locked(path)
    assert not is_locked(path)
    with Ledger.open_for_work(path):
        pass


@pytest.mark.parametrize("name", ["link.db", "folder/link.db"])
def test_a_link_to_a_ledger_is_that_ledger(ledger: Ledger, tmp_path: Path, name: str) -> None:
    link = tmp_path / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(ledger.path)
    assert is_locked(link)
    with pytest.raises(LedgerBusy), Ledger.open_for_work(link):
        pass


def test_who_only_looked_at_the_lock_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "LOCK_TIMEOUT_SECONDS", 5)
    path = tmp_path / "migrator.db"
    with Ledger.open_for_work(path):
        pass
    with path.with_name("migrator.db.lock").open() as glance:
        fcntl.flock(glance, fcntl.LOCK_EX)
        soon = threading.Timer(0.1, fcntl.flock, (glance, fcntl.LOCK_UN))
        soon.start()
        try:
            with Ledger.open_for_work(path) as ledger:
                assert ledger.runs.begin_run("push") == 1
        finally:
            soon.join()


def test_a_run_that_began_elsewhere_is_noticed_by_every_thread_but_not_an_older_one(
    ledger: Ledger,
) -> None:
    ledger.runs.begin_run("stage")
    ledger.runs.begin_run("push")
    with ThreadPoolExecutor(1) as another, closing(sqlite3.connect(ledger.path)) as elsewhere:
        another.submit(ledger.check_lock).result()
        elsewhere.execute("INSERT INTO run (command, pid, host) VALUES ('push', 1, 'there')")
        elsewhere.commit()
        with pytest.raises(LedgerBusy, match="taken over"):
            another.submit(ledger.check_lock).result()


def test_a_reader_is_not_held_up_by_a_write_and_sees_none_of_it(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    with ledger.transaction():
        extract(ledger, "b")
        began = time.monotonic()
        with Ledger.open_read_only(ledger.path) as reading:
            assert set(reading.contacts.stored(["a", "b"])) == {"a"}
        assert time.monotonic() - began < 5


def test_a_reader_cannot_write(ledger: Ledger) -> None:
    before = content(ledger.path)
    with (
        Ledger.open_read_only(ledger.path) as reading,
        pytest.raises(LedgerError, match="it is read-only"),
    ):
        assert reading.runs.newest(1) == []
        assert reading._database.one("PRAGMA query_only")[0] == 1
        reading.runs.begin_run("report")
    assert content(ledger.path) == before


# ── transactions ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("blow", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_moves_that_share_a_transaction_land_together_or_not_at_all(
    ledger: Ledger, blow: type[BaseException]
) -> None:
    stage(ledger, a=ADA, b=BOB)
    intend(ledger, 1)
    before = content(ledger.path)
    with pytest.raises(blow), ledger.transaction():
        end(ledger, 1, Outcome.CREATED, lead_id="L1")
        intend(ledger, 2)
        ledger.runs.bind(portal_id="1")
        raise blow
    assert content(ledger.path) == before
    end(ledger, 1, Outcome.CREATED, lead_id="L1")
    assert place(ledger, "a") == ("posted", None)
    intend(ledger, 2)  # its run is the last one again, as the note beside the ledger says


def test_outcomes_and_new_intents_share_one_commit(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    intend(ledger, 1)
    before = content(ledger.path)
    with ledger.transaction():
        end(ledger, 1, Outcome.CREATED, lead_id="L1")
        intend(ledger, 2)
        assert content(ledger.path) == before
    assert place(ledger, "a") == ("posted", None)
    assert [doubt.key for doubt in ledger.attempts.in_doubt()] == [2]


def test_a_move_that_the_database_refuses_takes_its_neighbours_along(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    ledger.holds.hold(2, Hold.REFUSED, "no")
    with pytest.raises(IntegrityError, match="not free to be sent"):
        intend(ledger, 1, 2)
    assert ledger.attempts.in_doubt() == []


def test_a_statement_outside_a_transaction_is_a_bug(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError, match="needs a transaction"):
        ledger._database.run("SELECT 1")


# ── journey ──────────────────────────────────────────────────────────────────────────────────────


def test_a_ledger_is_bound_piece_by_piece(ledger: Ledger) -> None:
    assert ledger.runs.binding() == Binding(None, None, None)
    ledger.runs.bind(portal_id="62515")
    ledger.runs.bind(leadgenius_url="https://one.example", client_id="acme-1")
    ledger.runs.bind(portal_id="62515", client_id="acme-1")
    assert ledger.runs.binding() == Binding("62515", "https://one.example", "acme-1")


@pytest.mark.parametrize("piece", ["portal_id", "leadgenius_url", "client_id"])
@pytest.mark.parametrize("ask", ["bind", "check"])
def test_another_journey_is_refused_and_named(ledger: Ledger, piece: str, ask: str) -> None:
    ledger.runs.bind(**{piece: "mine"})
    with pytest.raises(WrongJourney, match=r"migrator\.db belongs to .* mine, not to yours"):
        getattr(ledger.runs, ask)(**{piece: "yours"})
    assert "mine" in vars(ledger.runs.binding()).values()


def test_a_wrong_piece_keeps_the_others_from_being_bound(ledger: Ledger) -> None:
    ledger.runs.bind(client_id="mine")
    with pytest.raises(WrongJourney):
        ledger.runs.bind(portal_id="62515", client_id="yours")
    assert ledger.runs.binding() == Binding(None, None, "mine")


def test_checking_binds_nothing(ledger: Ledger) -> None:
    ledger.runs.check(portal_id="62515", leadgenius_url="https://one.example")
    assert ledger.runs.binding() == Binding(None, None, None)


def test_a_chosen_client_is_remembered_and_binds_nothing(tmp_path: Path) -> None:
    for choice in ("acme-1", "acme-2"):
        with Ledger.open_for_work(tmp_path / "l.db") as ledger:
            ledger.runs.choose_client(choice)
    with Ledger.open_read_only(tmp_path / "l.db") as ledger:
        assert ledger.runs.chosen_client() == "acme-2"
        assert ledger.runs.binding() == Binding(None, None, None)


def test_a_bound_ledger_takes_no_other_choice(ledger: Ledger) -> None:
    ledger.runs.bind(client_id="mine")
    with pytest.raises(WrongJourney, match="belongs to the client_id mine, not to yours"):
        ledger.runs.choose_client("yours")
    assert ledger.runs.chosen_client() is None


def test_the_canary_passes_once(ledger: Ledger) -> None:
    assert not ledger.runs.is_canary_passed()
    ledger.runs.set_canary_passed()
    assert ledger.runs.is_canary_passed()


def test_a_run_tells_what_it_did(ledger: Ledger) -> None:
    run_id = ledger.runs.begin_run("stage")
    ledger.runs.note_run(run_id, {"pages": 1}, {"waiting": "LeadGenius"})
    (run,) = ledger.runs.newest(9)
    assert (run.command, run.pid, run.counters) == ("stage", os.getpid(), {"pages": 1})
    assert run.now == {"waiting": "LeadGenius"}
    ledger.runs.note_run(run_id, {"pages": 1})
    assert ledger.runs.newest(1)[0].now == {}
    assert (run.ended_ms, run.exit_code) == (None, None)
    ledger.runs.end_run(run_id, ExitCode.DONE, {"pages": 2})
    (run,) = ledger.runs.newest(9)
    assert (run.exit_code, run.counters) == (0, {"pages": 2})
    assert run.ended_ms is not None
    assert run.ended_ms >= run.began_ms


def test_a_run_begins_in_a_folder_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with Ledger.open_for_work(folder / "migrator.db") as ledger:
        assert [ledger.runs.begin_run("stage") for _ in range(2)] == [1, 2]
        # That of the run before.
        assert ledger.runs.origin().folder == f"{tmp_path}/caf\ufffd"


def test_a_run_ends_once(ledger: Ledger) -> None:
    run = ledger.runs.begin_run("stage")
    ledger.runs.end_run(run, ExitCode.DONE, {"pages": 2})
    ledger.runs.end_run(run, ExitCode.BUG, {})
    assert ledger.runs.newest(1)[0].exit_code == ExitCode.DONE


def test_the_newest_runs_come_first(ledger: Ledger) -> None:
    for command in ("stage", "push", "verify"):
        ledger.runs.begin_run(command)
    assert [run.command for run in ledger.runs.newest(2)] == ["verify", "push"]


@pytest.mark.parametrize(
    ("runs", "is_unfinished"),
    [
        ("", False),
        ("push:130", False),
        ("push:None", False),
        ("push+:0", False),
        ("push+:1", False),
        ("push+:3", False),
        *((f"push+:{code}", True) for code in (4, 5, 70, 130, 143, None)),
        ("push+:130 push:4 push:2 push:3 stage:0", True),
        ("push+:130 push+:3", False),
        ("push+:130 push:0", False),
        ("push+:130 push:0 push:130", False),
        ("push+:0 push:None verify:None", False),
        ("stage:130", False),
    ],
)
def test_a_push_is_unfinished_when_the_last_one_that_sent_was_interrupted(
    ledger: Ledger, runs: str, is_unfinished: bool
) -> None:
    """`push+` sends a contact, `push` nothing."""
    stage(ledger, a="a@example.com", b="b@example.com")
    for command, _, code in (run.partition(":") for run in runs.split()):
        run = ledger.runs.begin_run(command.rstrip("+"))
        if command == "push+":
            key = ledger.sendable.untried(1)[0].key
            ledger.attempts.record_intents(run, [Intent(key, "hash")])
            end(ledger, key, Outcome.CREATED, lead_id=f"L{key}")
        if code != "None":
            ledger.runs.end_run(run, int(code), {})
    assert ledger.runs.is_push_unfinished() is is_unfinished


@pytest.mark.parametrize("scan", ["extraction", "verification"])
def test_a_scan_begins_goes_on_and_ends(ledger: Ledger, scan: str) -> None:
    assert ledger.runs.checkpoint(scan) == Checkpoint(0, True, None, 0, 0)
    assert ledger.runs.begin_scan(scan) == Checkpoint(1, False, None, 0, 0)
    ledger.runs.advance(scan, "100")
    assert ledger.runs.checkpoint(scan) == Checkpoint(1, False, "100", 1, 0)
    ledger.runs.advance(scan, None)
    assert ledger.runs.checkpoint(scan) == Checkpoint(1, True, None, 2, 0)
    assert ledger.runs.begin_scan(scan) == Checkpoint(2, False, None, 0, 0)


def test_a_scan_that_is_over_does_not_go_on(ledger: Ledger) -> None:
    ledger.runs.begin_scan("verification")
    ledger.runs.advance("verification", None)
    ledger.runs.advance("verification", "200")
    assert ledger.runs.checkpoint("verification") == Checkpoint(1, True, None, 1, 0)


def test_one_scan_does_not_move_the_other(ledger: Ledger) -> None:
    ledger.runs.begin_scan("extraction")
    ledger.runs.advance("extraction", "100")
    assert ledger.runs.checkpoint("verification") == Checkpoint(0, True, None, 0, 0)


# ── contacts: extraction ─────────────────────────────────────────────────────────────────────────


def test_a_page_its_companies_and_its_cursor_are_one(ledger: Ledger) -> None:
    scan = ledger.runs.begin_scan("extraction").scan
    one = ExtractedContact("a", "{}", "acme", "primary")
    companies = {"acme": '{"name": "Acme"}', "gone": None}
    ledger.contacts.write_page(ExtractedPage(companies, [one], [], [], [], "100"), scan)
    assert ledger.contacts.to_map(9) == [ContactToMap(1, {}, {"name": "Acme"})]
    assert ledger.contacts.companies(["acme", "gone", "x"], scan) == {
        "acme": {"name": "Acme"},
        "gone": None,
    }
    found = ledger.contacts.known_companies(["acme", "gone", "x"], scan)
    assert found == {"acme": True, "gone": False}
    assert ledger.contacts.known_companies(["acme"], scan + 1) == {}
    assert ledger.runs.checkpoint("extraction") == Checkpoint(1, False, "100", 1, 1, 1)


def test_pages_of_any_length_need_few_statements(ledger: Ledger) -> None:
    """Each statement that the driver keeps compiled takes tens of kilobytes."""
    scan = ledger.runs.begin_scan("extraction").scan
    texts: set[str] = set()
    driver: Any = ledger._database._connection.connection.driver_connection
    driver.set_trace_callback(texts.add)
    for length in range(1, 300, 7):
        companies = {f"{length}-{number}": None for number in range(length)}
        ledger.contacts.write_page(ExtractedPage(companies, [], [], [], [], "100"), scan)
        assert len(ledger.contacts.known_companies(companies, scan)) == length
    driver.set_trace_callback(None)
    rows = {text.count("NULL") for text in texts if text.startswith("INSERT INTO company")}
    assert rows == {1, 2, 4, 8, 16, 32, 64, 128}


def test_a_page_that_cannot_be_written_moves_no_cursor(ledger: Ledger) -> None:
    scan = ledger.runs.begin_scan("extraction").scan
    orphan = ExtractedContact("b", "{}", "nobody", "first")
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        ledger.contacts.write_page(page("a", cursor="100"), scan)
        ledger.contacts.write_page(
            ExtractedPage({}, [orphan], [], [since_sent("a")], [], "200"), scan
        )
    assert ledger.runs.checkpoint("extraction") == Checkpoint(1, False, "100", 1, 1, 1)
    assert ledger.counts.changed(9) == (0, [])


def test_a_scan_counts_each_contact_that_it_meets_once(ledger: Ledger) -> None:
    scan = ledger.runs.begin_scan("extraction").scan
    a, b, c, d = (ExtractedContact(name, "{}", None, None) for name in "abcd")
    ledger.contacts.write_page(ExtractedPage({}, [a, b], [], [], [], "1"), scan)
    ledger.contacts.write_page(ExtractedPage({}, [], [a], [], ["b"], "2", odd=2), scan)
    assert (ledger.runs.checkpoint("extraction").met, odd(ledger)) == (2, 2)
    ledger.contacts.write_page(ExtractedPage({}, [c, d], [], [], [], None), scan)
    scan = ledger.runs.begin_scan("extraction").scan
    assert (ledger.runs.checkpoint("extraction").met, odd(ledger)) == (0, 0)
    b_now = ChangedLead(b, None)
    ledger.contacts.write_page(ExtractedPage({}, [], [a], [b_now], ["c"], "1", [], ["d"]), scan)
    ledger.contacts.write_page(ExtractedPage({}, [], [], [], [], None, [a], ["b", "d"]), scan)
    assert ledger.runs.checkpoint("extraction").met == 4


def odd(ledger: Ledger) -> int:
    return ledger.runs.checkpoint("extraction").odd


def test_a_scan_that_seemed_to_be_over_goes_on_at_its_last_page(ledger: Ledger) -> None:
    ledger.runs.begin_scan("extraction")
    ledger.runs.advance("extraction", "100", met=3)
    ledger.runs.advance("extraction", None, met=1)
    ledger.runs.reopen_scan("extraction", "100")
    assert ledger.runs.checkpoint("extraction") == Checkpoint(1, False, "100", 2, 0, 4)


def test_what_hubspot_gave_is_what_the_sums_count(ledger: Ledger) -> None:
    extract(ledger, "a", "b")
    extract(ledger, "c")
    change(ledger, "a")
    assert ledger.runs.checkpoint("extraction").contacts_seen == 3
    assert sum(one.contacts for one in ledger.counts.sums()) == 3


def test_a_company_is_asked_for_once_a_scan(ledger: Ledger) -> None:
    extract(ledger, companies={"acme": "{}"})
    assert ledger.contacts.companies(["acme"], 1) == {"acme": {}}
    assert ledger.contacts.companies(["acme"], 2) == {}
    extract(ledger, companies={"acme": None})
    assert ledger.contacts.companies(["acme"], 2) == {"acme": None}


def test_the_ledger_knows_what_it_has(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    extract(ledger, "c")
    intend(ledger, 2)
    assert ledger.contacts.stored(["a", "b", "c", "d"]) == {
        "a": StoredContact(State.MAPPED, '{"id": "a"}', None, lead_of(ADA), False),
        "b": StoredContact(State.MAPPED, '{"id": "b"}', None, lead_of(BOB), True),
        "c": StoredContact(State.EXTRACTED, '{"id": "c"}', None, None, False),
    }


def test_any_number_of_contacts_can_be_asked_for(ledger: Ledger) -> None:
    extract(ledger, "a", "it's", "ünï")
    names = [str(number) for number in range(40_000)]
    assert set(ledger.contacts.stored([*names, "a", "it's", "ünï"])) == {"a", "it's", "ünï"}


def test_a_changed_contact_is_mapped_again(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    change(ledger, "a")
    assert place(ledger, "a") == ("extracted", None)
    assert ledger.contacts.to_map(9) == [ContactToMap(1, {"new": 1}, None)]
    assert ledger.contacts.stored(["a"])["a"].lead is None


@pytest.mark.parametrize("held", [Hold.NO_EMAIL, Hold.INVALID_EMAIL])
def test_a_changed_contact_gets_a_new_chance(ledger: Ledger, held: Hold) -> None:
    extract(ledger, "a")
    ledger.contacts.write_mapped([], [ExcludedContact(1, held, "why")])
    change(ledger, "a")
    assert place(ledger, "a") == ("extracted", None)
    assert [one.key for one in ledger.contacts.to_map(9)] == [1]


def test_a_changed_contact_forgets_its_namesake(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    ledger.reconciliation.adopt([lead("X", email=ADA)])
    change(ledger, "a")
    build(ledger, a=BOB)
    intend(ledger, 1)
    assert ledger.attempts.in_doubt() == [Doubt(1, "a", BOB, None)]


def test_a_posted_contact_is_not_extracted_again(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    post(ledger, 1)
    change(ledger, "a")
    assert place(ledger, "a") == ("posted", None)
    assert ledger.contacts.stored(["a"])["a"].source == '{"id": "a"}'


def test_a_contact_in_doubt_is_not_extracted_again(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    intend(ledger, 1)
    before = content(ledger.path)
    with pytest.raises(IntegrityError, match="open attempt"), ledger.transaction():
        change(ledger, "a")
    assert content(ledger.path) == before


def test_a_posted_contact_that_changed_is_noted_until_it_changes_back(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD)
    post(ledger, 1, 2, 3)
    extract(ledger, changed_since_sent=[since_sent("a"), since_sent("c")])
    assert ledger.counts.changed(1) == (2, ["a"])
    question = "SELECT source, new_lead FROM contact WHERE hubspot_id = 'a'"
    assert look(ledger.path, question) == [('{"now": "a"}', "{}")]
    extract(ledger, current=["a", "b"], equal_again=["a"])
    assert look(ledger.path, question) == [('{"now": "a"}', None)]
    assert ledger.counts.changed(9) == (1, ["c"])
    assert place(ledger, "c") == ("posted", None)


def test_a_change_is_dated_when_it_was_first_seen(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(ledger, a=ADA)
    post(ledger, 1)
    for moment in (100, 200):
        monkeypatch.setattr(contacts, "now_ms", lambda moment=moment: moment)
        extract(ledger, changed_since_sent=[since_sent("a")])
    assert look(ledger.path, "SELECT changed_ms FROM contact") == [(100,)]


# ── contacts: mapping ────────────────────────────────────────────────────────────────────────────


def test_contacts_are_mapped_in_hubspots_order(ledger: Ledger) -> None:
    extract(ledger, "b", "a")
    extract(ledger, "c")
    ledger.holds.hold(2, Hold.NO_EMAIL, "it has none")
    assert [one.key for one in ledger.contacts.to_map(9)] == [1, 3]
    assert [one.key for one in ledger.contacts.to_map(1)] == [1]


def test_what_is_built_can_be_sent_and_what_is_rejected_is_held(ledger: Ledger) -> None:
    extract(ledger, "a", "b")
    ledger.contacts.write_mapped(
        [MappedContact(1, "{}", ADA, "first_name_from_email")],
        [ExcludedContact(2, Hold.NO_EMAIL, "it has none")],
    )
    assert ledger.sendable.untried(9) == [ContactToSend(1, "a", {})]
    assert place(ledger, "b") == ("extracted", "no_email")
    assert look(ledger.path, "SELECT derived_fields FROM contact") == [
        ("first_name_from_email",),
        (None,),
    ]


def test_a_contact_is_mapped_once(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    ledger.contacts.write_mapped([MappedContact(1, "late", CYD, None)], [])
    ledger.contacts.write_mapped([], [ExcludedContact(1, Hold.NO_EMAIL, "late")])
    assert ledger.sendable.untried(9) == [ContactToSend(1, "a", {"email": ADA})]


def test_of_one_e_mail_the_first_contact_wins(ledger: Ledger) -> None:
    extract(ledger, "a", "b", "c")
    ledger.contacts.write_mapped([MappedContact(key, "{}", ADA, None) for key in (3, 1, 2)], [])
    assert [one.hubspot_id for one in ledger.sendable.untried(9)] == ["a"]
    assert place(ledger, "b") == place(ledger, "c") == ("mapped", "duplicate_email")
    assert detail(ledger, "c") == "contact a has the same e-mail"


def test_who_was_mapped_first_stays_the_first(ledger: Ledger) -> None:
    extract(ledger, "a", "b")
    build(ledger, b=ADA)
    build(ledger, a=ADA)
    assert place(ledger, "a") == ("mapped", "duplicate_email")
    assert detail(ledger, "a") == "contact b has the same e-mail"


@pytest.mark.parametrize("held", [Hold.REFUSED, Hold.GAVE_UP, Hold.ALREADY_IN_DESTINATION])
def test_a_first_contact_that_waits_is_the_first_all_the_same(ledger: Ledger, held: Hold) -> None:
    stage(ledger, a=ADA)
    ledger.holds.hold(1, held, "why")
    stage(ledger, b=ADA)
    assert place(ledger, "b") == ("mapped", "duplicate_email")
    assert ledger.holds.release_orphaned_duplicates() == 0


def test_a_posted_contact_keeps_its_e_mail(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    post(ledger, 1)
    stage(ledger, b=ADA)
    assert place(ledger, "b") == ("mapped", "duplicate_email")
    assert ledger.holds.release_orphaned_duplicates() == 0
    assert ledger.sendable.untried(9) == []


def test_when_the_first_one_leaves_its_e_mail_the_next_one_is_freed(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=ADA, c=ADA)
    assert ledger.holds.release_orphaned_duplicates() == 0
    change(ledger, "a")
    build(ledger, a=BOB)
    assert ledger.holds.release_orphaned_duplicates() == 1
    assert [one.hubspot_id for one in ledger.sendable.untried(9)] == ["a", "b"]
    assert place(ledger, "c") == ("mapped", "duplicate_email")
    assert ledger.holds.release_orphaned_duplicates() == 0


def test_a_first_one_that_comes_back_to_its_e_mail_is_still_the_first(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=ADA)
    change(ledger, "a")
    build(ledger, a=ADA)
    assert ledger.holds.release_orphaned_duplicates() == 0
    assert [one.hubspot_id for one in ledger.sendable.untried(9)] == ["a"]


# ── contacts: holds ──────────────────────────────────────────────────────────────────────────────


def test_a_hold_lands_on_a_free_contact_only(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    assert ledger.holds.hold(1, Hold.REFUSED, "no")
    assert not ledger.holds.hold(1, Hold.GAVE_UP, "late")
    assert not ledger.holds.hold(99, Hold.GAVE_UP, "nobody")
    assert ledger.counts.held(Hold.REFUSED, 9) == [
        HeldContact("a", State.MAPPED, Hold.REFUSED, "no")
    ]


def test_a_contact_in_doubt_is_not_held(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    intend(ledger, 1)
    with pytest.raises(IntegrityError, match="open attempt"):
        ledger.holds.hold(1, Hold.GAVE_UP, "too early")
    assert place(ledger, "a") == ("mapped", None)


# (state, hold) before a release of everything, and after it
RELEASES = [
    ("extracted", Hold.NO_EMAIL, ("extracted", None)),
    ("extracted", Hold.INVALID_EMAIL, ("extracted", None)),
    ("mapped", Hold.ALREADY_IN_DESTINATION, ("mapped", None)),
    ("mapped", Hold.REFUSED, ("mapped", None)),
    ("mapped", Hold.GAVE_UP, ("mapped", None)),
    ("posted", Hold.DIFFERENT, ("posted", None)),
    ("verified", Hold.DIFFERENT, ("verified", None)),
    ("posted", Hold.DOUBLED, ("posted", "doubled")),
    ("verified", Hold.DOUBLED, ("verified", "doubled")),
    ("posted", Hold.MISSING, ("mapped", None)),
    ("verified", Hold.MISSING, ("verified", "missing")),
    ("mapped", Hold.DUPLICATE_EMAIL, ("mapped", "duplicate_email")),
    ("posted", Hold.CONFLICT, ("posted", "conflict")),
    ("mapped", Hold.UNDONE, ("mapped", None)),
]


def bring(ledger: Ledger, state: str) -> None:
    """Contact `a`, key 1, in this state."""
    extract(ledger, "a")
    if state != "extracted":
        build(ledger, a=ADA)
    if state in ("posted", "verified"):
        post(ledger, 1)
    if state == "verified":
        verify(ledger, seen("L1", 1))


@pytest.mark.parametrize(("state", "held", "after"), RELEASES)
def test_a_release_frees_what_a_person_can_do_something_about(
    ledger: Ledger, state: str, held: Hold, after: tuple[str, str | None]
) -> None:
    bring(ledger, state)
    assert place(ledger, "a") == (state, None)
    ledger.holds.hold(1, held, "why")
    assert ledger.holds.release(None, None) == (0 if after[1] else 1)
    assert place(ledger, "a") == after
    assert detail(ledger, "a") == ("why" if after[1] else None)


def test_every_hold_has_its_rule_of_release() -> None:
    # What HubSpot has no more is in test_source_moves.py.
    assert {held for _, held, _ in RELEASES} == set(Hold) - {Hold.GONE}


def test_a_verified_contact_whose_lead_was_deleted_is_sent_again_only_on_that_word(
    ledger: Ledger,
) -> None:
    bring(ledger, "verified")
    verify(ledger, seen("L1", 1, "title"))
    verify(ledger)
    assert place(ledger, "a") == ("verified", "missing")
    assert ledger.holds.release(Hold.MISSING, ["b"], recreate=True) == 0
    assert ledger.holds.release(Hold.MISSING, None, recreate=True) == 1
    assert place(ledger, "a") == ("mapped", None)
    assert edited(ledger) == []
    post(ledger, 1)
    assert place(ledger, "a") == ("posted", None)


@pytest.mark.parametrize(
    ("state", "held"),
    [("posted", Hold.MISSING), ("mapped", Hold.GAVE_UP), ("mapped", Hold.REFUSED)],
)
def test_who_is_freed_may_be_sent_again(ledger: Ledger, state: str, held: Hold) -> None:
    bring(ledger, state)
    ledger.holds.hold(1, held, "why")
    assert ledger.holds.release(held, []) == 0
    ledger.holds.release(held, None)
    assert [one.key for one in ledger.sendable.untried(9)] == [1]
    post(ledger, 1)
    assert place(ledger, "a") == ("posted", None)


def sendable_can_be_intended(ledger: Ledger) -> list[str]:
    """The database must never refuse what the ledger offers: a push would stop there for good."""
    offered = ledger.sendable.untried(9)
    intend(ledger, *(one.key for one in offered))
    return [one.hubspot_id for one in offered]


def test_of_one_e_mail_one_is_freed(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=ADA)
    ledger.reconciliation.adopt([lead("X", email=ADA)])
    ledger.reconciliation.adopt([lead("L2", "b", email=ADA)])
    verify(ledger)
    assert place(ledger, "a") == ("mapped", "already_in_destination")
    assert place(ledger, "b") == ("posted", "missing")
    assert ledger.holds.release(None, None) == 1
    assert len(sendable_can_be_intended(ledger)) == 1


@pytest.mark.parametrize("held", [Hold.REFUSED, Hold.GAVE_UP, Hold.ALREADY_IN_DESTINATION])
def test_who_is_freed_is_a_duplicate_if_the_other_one_was_sent(ledger: Ledger, held: Hold) -> None:
    stage(ledger, a=ADA, b=ADA)
    ledger.holds.hold(1, held, "why")
    ledger.reconciliation.adopt([lead("L2", "b", email=ADA)])
    assert ledger.holds.release(None, None) == 0
    assert place(ledger, "a") == ("mapped", "duplicate_email")
    assert sendable_can_be_intended(ledger) == []


def test_who_is_freed_is_a_duplicate_of_a_missing_one_until_that_is_freed(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=ADA)
    ledger.holds.hold(1, Hold.REFUSED, "why")
    ledger.reconciliation.adopt([lead("L2", "b", email=ADA)])
    verify(ledger)
    assert place(ledger, "b") == ("posted", "missing")
    assert ledger.holds.release(Hold.REFUSED, None) == 0
    assert place(ledger, "a") == ("mapped", "duplicate_email")
    assert sendable_can_be_intended(ledger) == []
    assert ledger.holds.release(Hold.MISSING, None) == 1
    assert sendable_can_be_intended(ledger) == ["b"]


def test_who_turns_out_absent_is_a_duplicate_if_the_other_one_was_sent(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    intend(ledger, 1)
    stage(ledger, b=ADA)
    ledger.reconciliation.adopt([lead("L2", "b", email=ADA)])
    end(ledger, 1, Outcome.ABSENT)
    assert place(ledger, "a") == ("mapped", "duplicate_email")
    assert detail(ledger, "a") == "contact b has the same e-mail"
    assert sendable_can_be_intended(ledger) == []


def test_a_release_keeps_to_what_was_asked_for(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD)
    for key, held in ((1, Hold.REFUSED), (2, Hold.REFUSED), (3, Hold.GAVE_UP)):
        ledger.holds.hold(key, held, "why")
    assert ledger.holds.release(Hold.REFUSED, ["a", "c", "nobody"]) == 1
    assert ledger.holds.release(Hold.MISSING, None) == 0
    assert ledger.holds.release(None, []) == 0
    assert ledger.holds.release(None, ["c"]) == 1
    assert place(ledger, "b") == ("mapped", "refused")


# ── attempts ─────────────────────────────────────────────────────────────────────────────────────


def test_the_next_to_send_are_free_mapped_and_in_hubspots_order(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD, d="dan@x.example")
    extract(ledger, "e")
    ledger.holds.hold(1, Hold.REFUSED, "no")
    intend(ledger, 2)
    assert [one.hubspot_id for one in ledger.sendable.untried(9)] == ["c", "d"]
    assert [one.hubspot_id for one in ledger.sendable.untried(1)] == ["c"]


def test_an_intent_is_on_disk_before_anything_leaves(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    run = ledger.runs.begin_run("push")
    ledger.attempts.record_intents(run, [Intent(2, "h2"), Intent(1, "h1")])
    question = "SELECT contact_key, number, run_id, payload_hash, outcome FROM attempt"
    assert look(ledger.path, question) == [(1, 1, run, "h1", None), (2, 1, run, "h2", None)]


def test_the_times_of_a_send_are_those_of_the_wall_clock(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    before = time.time_ns() // 1_000_000
    post(ledger, 1)
    [times] = look(ledger.path, "SELECT sent_ms, ended_ms, settled_ms FROM attempt")
    after = time.time_ns() // 1_000_000
    assert all(before - 1 <= one <= after for one in times)  # `julianday` may be 1 ms less


def test_nothing_to_intend_is_nothing(ledger: Ledger) -> None:
    ledger.attempts.record_intents(1, [])
    ledger.attempts.record_results([])


def test_a_contact_is_not_intended_twice(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    intend(ledger, 1)
    with pytest.raises(IntegrityError, match="UNIQUE"):
        intend(ledger, 1)
    assert len(ledger.attempts.in_doubt()) == 1


# (outcome, what it says, where the contact is then)
ENDINGS = [
    (Outcome.CREATED, {"status": 201, "lead_id": "L1"}, ("posted", None)),
    (Outcome.FOUND, {"lead_id": "L1"}, ("posted", None)),
    (Outcome.REFUSED, {"status": 422, "answer": "bad e-mail"}, ("mapped", "refused")),
    (Outcome.DENIED, {"status": 403}, ("mapped", None)),
    (Outcome.THROTTLED, {"status": 429}, ("mapped", None)),
    (Outcome.UNSENT, {}, ("mapped", None)),
    (Outcome.ABSENT, {}, ("mapped", None)),
]


@pytest.mark.parametrize(("outcome", "rest", "after"), ENDINGS)
def test_an_outcome_says_where_its_contact_goes(
    ledger: Ledger, outcome: Outcome, rest: dict[str, Any], after: tuple[str, str | None]
) -> None:
    stage(ledger, a=ADA)
    intend(ledger, 1)
    end(ledger, 1, outcome, **rest)
    assert place(ledger, "a") == after
    assert ledger.attempts.in_doubt() == []
    assert len(ledger.sendable.untried(9)) == (after == ("mapped", None))
    question = "SELECT outcome, status, answer, lead_id, ended_ms >= sent_ms FROM attempt"
    told = (outcome, rest.get("status"), rest.get("answer"), rest.get("lead_id"), 1)
    assert look(ledger.path, question) == [told]


def test_every_outcome_has_its_ending() -> None:
    of_others = {Outcome.UPDATED, Outcome.EDITED, Outcome.DELETED}
    assert {outcome for outcome, _, _ in ENDINGS} == set(Outcome) - of_others


def test_a_refusal_is_held_with_the_answer_or_its_status(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    intend(ledger, 1, 2)
    end(ledger, 1, Outcome.REFUSED, status=422, answer="bad e-mail")
    end(ledger, 2, Outcome.REFUSED, status=400)
    assert [detail(ledger, name) for name in "ab"] == ["bad e-mail", "status 400"]


def test_a_send_that_ended_in_doubt_stays_open_with_its_answer(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    intend(ledger, 1)
    end(ledger, 1, None, status=502, answer="bad gateway")
    question = "SELECT outcome, status, answer, settled_ms, ended_ms IS NOT NULL FROM attempt"
    assert look(ledger.path, question) == [(None, 502, "bad gateway", None, 1)]
    assert ledger.sendable.untried(9) == []
    assert ledger.attempts.in_doubt() == [Doubt(1, "a", ADA, None)]
    end(ledger, 1, Outcome.FOUND, lead_id="L1")
    question = "SELECT outcome, status, answer FROM attempt"
    assert look(ledger.path, question) == [("found", 502, "bad gateway")]


@pytest.mark.parametrize(
    "late",
    [
        AttemptResult(1, Outcome.CREATED, 201, None, "L2"),
        AttemptResult(1, Outcome.REFUSED, 422, "no"),
        AttemptResult(1, Outcome.ABSENT),
        AttemptResult(1, None, 502),
    ],
)
def test_an_answer_that_comes_after_the_settlement_changes_nothing(
    ledger: Ledger, late: AttemptResult
) -> None:
    stage(ledger, a=ADA)
    intend(ledger, 1)
    end(ledger, 1, Outcome.FOUND, lead_id="L1")
    before = content(ledger.path)
    ledger.attempts.record_results([late])
    assert content(ledger.path) == before


def test_an_ending_of_what_was_never_sent_changes_nothing(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    before = content(ledger.path)
    end(ledger, 1, Outcome.CREATED, lead_id="L1")
    end(ledger, 99, Outcome.DENIED)
    assert content(ledger.path) == before


def test_attempts_are_numbered_and_kept(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    for outcome in (Outcome.UNSENT, Outcome.THROTTLED, Outcome.ABSENT):
        intend(ledger, 1)
        end(ledger, 1, outcome)
    post(ledger, 1)
    assert look(ledger.path, "SELECT number, outcome FROM attempt ORDER BY number") == [
        (1, "unsent"),
        (2, "throttled"),
        (3, "absent"),
        (4, "created"),
    ]


def fail(ledger: Ledger, times: int, *, counts: bool = True, **answer: Any) -> None:
    """Contact 1 is sent in vain, in the run that there is, be it the first one."""
    [(run,)] = look(ledger.path, "SELECT max(id) FROM run")
    run = run or ledger.runs.begin_run("push")
    for _ in range(times):
        ledger.attempts.record_intents(run, [Intent(1, "hash")])
        end(ledger, 1, None, **{"status": 500, **answer}, is_failure=True)
        if counts:
            ledger.attempts.blame([1])
        end(ledger, 1, Outcome.ABSENT)


def test_after_the_last_attempt_a_contact_waits(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    fail(ledger, MAX_ATTEMPTS - 1)
    assert place(ledger, "a") == ("mapped", None)
    fail(ledger, 1)
    assert place(ledger, "a") == ("mapped", "gave_up")
    assert detail(ledger, "a") == f"{MAX_ATTEMPTS} attempts left no lead, the last answer was 500"


@pytest.mark.parametrize("status", [403, 404])
def test_what_is_turned_away_is_held_when_its_last_attempt_is_found_to_count(
    ledger: Ledger, status: int
) -> None:
    stage(ledger, a=ADA)
    fail(ledger, MAX_ATTEMPTS - 1)
    intend(ledger, 1)
    end(ledger, 1, Outcome.DENIED, status=status, answer="<html>no</html>", is_failure=True)
    assert place(ledger, "a") == ("mapped", None)
    assert ledger.attempts.blame([1]).held == {1: Hold.GAVE_UP}
    assert place(ledger, "a") == ("mapped", "gave_up")


def test_who_was_told_why_is_held_with_the_answer(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    fail(ledger, MAX_ATTEMPTS, status=409, answer='{"error": "taken"}')
    assert place(ledger, "a") == ("mapped", "refused")
    assert detail(ledger, "a") == '{"error": "taken"}'


def test_attempts_count_in_whatever_run_they_were(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    for _ in range(MAX_ATTEMPTS):
        ledger.runs.begin_run("push")
        assert place(ledger, "a") == ("mapped", None)
        fail(ledger, 1)
    assert place(ledger, "a") == ("mapped", "gave_up")


def test_an_attempt_counts_only_when_somebody_says_so(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    fail(ledger, 3 * MAX_ATTEMPTS, counts=False)
    fail(ledger, MAX_ATTEMPTS - 1)
    assert place(ledger, "a") == ("mapped", None)


def test_who_was_given_up_while_nothing_was_taken_is_free_after_the_next_lead_once(
    ledger: Ledger,
) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD)
    fail(ledger, MAX_ATTEMPTS)
    intend(ledger, 2)
    changed = ledger.attempts.record_results([AttemptResult(2, Outcome.CREATED, lead_id="L2")])
    assert changed.freed == [1]
    assert ledger.sendable.tried() == [1]
    fail(ledger, 1)
    assert place(ledger, "a") == ("mapped", "gave_up")
    post(ledger, 3)
    assert place(ledger, "a") == ("mapped", "gave_up")


def test_who_was_given_up_while_leads_were_taken_stays_so(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD)
    fail(ledger, 1)
    post(ledger, 2)
    fail(ledger, MAX_ATTEMPTS - 1)
    post(ledger, 3)
    assert place(ledger, "a") == ("mapped", "gave_up")


def test_who_is_free_again_is_no_second_lead_of_an_email(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=ADA)
    fail(ledger, MAX_ATTEMPTS)
    ledger.reconciliation.adopt([lead("X", "c", email=ADA)])
    post(ledger, 2)
    assert place(ledger, "a") == ("mapped", "duplicate_email")


def test_those_that_failed_come_last_and_with_the_fewest_failures_first(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD)
    fail(ledger, 2)
    intend(ledger, 2)
    end(ledger, 2, Outcome.DENIED, status=403, is_failure=True)
    assert [one.hubspot_id for one in ledger.sendable.untried(9)] == ["c"]
    assert ledger.sendable.tried() == [2, 1]
    assert [one.key for one in ledger.sendable.among([1, 3, 2])] == [1, 3, 2]
    ledger.holds.hold(1, Hold.REFUSED, "no")
    ledger.holds.release(Hold.REFUSED, None)
    assert [one.hubspot_id for one in ledger.sendable.untried(9)] == ["a", "c"]


def test_places_are_spread_over_the_untried(ledger: Ledger) -> None:
    stage(ledger, **{f"c{number}": f"c{number}@x.example" for number in range(9)})
    for number in (1, 9):
        intend(ledger, number)
        end(ledger, number, Outcome.DENIED, status=403, is_failure=True)
    found = [ledger.sendable.untried_at(place) for place in (0.0, 0.5, 0.999)]
    assert [one and one.key for one in found] == [2, 5, 7]
    assert ledger.sendable.untried_at(1.0) is not None


def test_where_nobody_is_untried_there_is_no_place(ledger: Ledger) -> None:
    assert ledger.sendable.untried_at(0.5) is None


def test_a_pardon_frees_those_that_were_refused(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    intend(ledger, 1)
    end(ledger, 1, Outcome.REFUSED, status=400, answer="no", is_failure=True)
    ledger.attempts.pardon([1])
    assert place(ledger, "a") == ("mapped", None)
    assert ledger.sendable.tried() == []


def test_a_pardon_takes_one_try_back_and_frees_nobody_else(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    for _ in range(2):
        intend(ledger, 1)
        end(ledger, 1, Outcome.DENIED, status=403, answer="no", is_failure=True)
    ledger.attempts.pardon([1])
    assert ledger.sendable.tried() == [1]
    ledger.attempts.pardon([1])
    assert [one.key for one in ledger.sendable.untried(9)] == [1]


def test_a_release_forgives_the_attempts_before_it(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    fail(ledger, MAX_ATTEMPTS)
    ledger.holds.release(Hold.GAVE_UP, None)
    fail(ledger, MAX_ATTEMPTS - 1)
    assert place(ledger, "a") == ("mapped", None)
    fail(ledger, 1)
    assert place(ledger, "a") == ("mapped", "gave_up")


def test_a_change_forgives_the_attempts_before_it(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    fail(ledger, MAX_ATTEMPTS)
    change(ledger, "a")
    build(ledger, a=BOB)
    fail(ledger, MAX_ATTEMPTS - 1)
    assert place(ledger, "a") == ("mapped", None)


@pytest.mark.parametrize("outcome", [Outcome.CREATED, Outcome.FOUND])
def test_a_lead_that_another_contact_has_holds_the_second(ledger: Ledger, outcome: Outcome) -> None:
    stage(ledger, a=ADA, b=BOB)
    post(ledger, 1)
    intend(ledger, 2)
    end(ledger, 2, outcome, lead_id="L1")
    assert place(ledger, "b") == ("mapped", "already_in_destination")
    assert detail(ledger, "b") == "lead L1 belongs to contact a"
    assert ledger.attempts.in_doubt() == []


@pytest.mark.parametrize("stored", ['{"code": "NO_SUCH"}', '{"code": "SAME_EMAIL"}', "{}"])
def test_a_detail_that_was_not_written_here_is_damage(ledger, stored):
    stage(ledger, a=ADA)
    ledger.holds.hold(1, Hold.REFUSED, "no")
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute("UPDATE contact SET detail = ?", (stored,))
    with pytest.raises(LedgerError, match="damaged"):
        ledger.counts.held(Hold.REFUSED, 1)


def test_endings_that_are_written_together_move_each_contact_as_it_would_be_moved_alone(
    ledger: Ledger,
) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD, d="dan@x.example", e="eve@x.example")
    intend(ledger, 1, 2, 3, 4)
    ledger.attempts.record_results(
        [
            AttemptResult(2, None, 502),
            AttemptResult(4, Outcome.CREATED, 201, None, "L1"),
            AttemptResult(1, Outcome.CREATED, 201, None, "L1"),
            AttemptResult(3, Outcome.REFUSED, 422, "no"),
            AttemptResult(4, Outcome.REFUSED, 422, "the second answer to one send"),
            AttemptResult(5, Outcome.CREATED, 201, None, "L5"),
        ]
    )
    assert [place(ledger, one) for one in "abcde"] == [
        ("mapped", "already_in_destination"),
        ("mapped", None),
        ("mapped", "refused"),
        ("posted", None),
        ("mapped", None),
    ]
    assert detail(ledger, "a") == "lead L1 belongs to contact d"
    assert [doubt.key for doubt in ledger.attempts.in_doubt()] == [2]


def test_intents_that_are_written_together_go_on_counting_each_for_its_contact(
    ledger: Ledger,
) -> None:
    stage(ledger, a=ADA, b=BOB)
    intend(ledger, 1)
    end(ledger, 1, Outcome.UNSENT)
    run = ledger.runs.begin_run("push")
    ledger.attempts.record_intents(run, [Intent(2, "hash"), Intent(1, "hash")])
    question = "SELECT contact_key, number FROM attempt WHERE outcome IS NULL"
    assert look(ledger.path, question) == [(1, 2), (2, 1)]


def test_leads_that_were_created_or_found_can_be_read_back(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD, d="dan@x.example")
    post(ledger, 1)
    intend(ledger, 2, 3)
    end(ledger, 2, Outcome.FOUND, lead_id="L2")
    ledger.reconciliation.adopt([lead("L4", "d")])
    assert ledger.attempts.canary_leads(9) == {"L1": "a", "L2": "b"}
    assert len(ledger.attempts.canary_leads(1)) == 1


# ── listing: before the first send ───────────────────────────────────────────────────────────────


def test_a_lead_with_our_line_is_adopted(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    assert (
        ledger.reconciliation.adopt([lead("L1", "a", email="old@x.example"), lead("L9", "nobody")])
        == 1
    )
    assert place(ledger, "a") == ("posted", None)
    assert [one.hubspot_id for one in ledger.sendable.untried(9)] == ["b"]
    assert look(ledger.path, "SELECT lead_id FROM contact") == [("L1",), (None,)]


def test_adopting_twice_is_adopting_once(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    listed = [lead("L1", "a", email=ADA), lead("X", email=BOB)]
    assert ledger.reconciliation.adopt(listed) == 1
    before = content(ledger.path)
    assert ledger.reconciliation.adopt(listed) == 0
    assert content(ledger.path) == before


def test_of_two_leads_with_one_line_the_first_is_adopted(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    assert ledger.reconciliation.adopt([lead("L1", "a"), lead("L2", "a", email=ADA)]) == 1
    assert look(ledger.path, "SELECT lead_id, foreign_lead_id FROM contact") == [("L1", None)]


def test_a_lead_that_names_two_contacts_is_adopted_by_one(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    assert ledger.reconciliation.adopt([lead("L1", "b", "a")]) == 1
    assert ledger.reconciliation.adopt([lead("L1", "b")]) == 0
    assert place(ledger, "a") == ("posted", None)
    assert place(ledger, "b") == ("mapped", "already_in_destination")
    assert detail(ledger, "b") == "lead L1 carries its record line and is contact a's"
    ledger.holds.release(Hold.ALREADY_IN_DESTINATION, None)
    ledger.reconciliation.adopt([lead("L1", "a", "b")])
    assert place(ledger, "b") == ("mapped", None)


def test_a_duplicate_whose_lead_exists_is_adopted_and_the_first_one_held(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=ADA)
    assert ledger.reconciliation.adopt([lead("L2", "b", email=ADA)]) == 1
    assert place(ledger, "b") == ("posted", None)
    assert detail(ledger, "b") is None
    assert place(ledger, "a") == ("mapped", "duplicate_email")
    assert detail(ledger, "a") == "contact b has the same e-mail"
    assert ledger.holds.release_orphaned_duplicates() == 0


@pytest.mark.parametrize("held", [Hold.REFUSED, Hold.GAVE_UP])
def test_a_held_contact_whose_lead_exists_is_adopted(ledger: Ledger, held: Hold) -> None:
    stage(ledger, a=ADA)
    ledger.holds.hold(1, held, "why")
    assert ledger.reconciliation.adopt([lead("L1", "a")]) == 1
    assert place(ledger, "a") == ("posted", None)


def test_a_contact_in_doubt_is_left_to_settle(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    intend(ledger, 1, 2)
    before = content(ledger.path)
    assert ledger.reconciliation.adopt([lead("L1", "a", email=ADA), lead("X", email=BOB)]) == 0
    assert content(ledger.path) == before


def test_a_lead_with_our_e_mail_and_no_line_holds_its_contact(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    assert ledger.reconciliation.adopt([lead("X", email=ADA), lead("Y", email=CYD), lead("Z")]) == 0
    assert place(ledger, "a") == ("mapped", "already_in_destination")
    assert detail(ledger, "a") == "lead X has the same e-mail and is not ours"
    assert place(ledger, "b") == ("mapped", None)


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (lead("X", "old", email=ADA), "lead X has the same e-mail and is contact old's"),
        (
            lead("X", email=ADA, shows_notes=False),
            "lead X has the same e-mail and the listing shows no notes of it, "
            "so it may be ours or not",
        ),
    ],
)
def test_whose_the_lead_with_our_e_mail_is_is_said(
    ledger: Ledger, listed: LeadIdentity, words: str
) -> None:
    stage(ledger, a=ADA)
    assert ledger.reconciliation.adopt([listed]) == 0
    assert place(ledger, "a") == ("mapped", "already_in_destination")
    assert detail(ledger, "a") == words


def test_a_removed_lead_is_adopted_by_nobody_and_holds_nobody(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    removed = [
        lead("L1", "a", email=ADA, is_removed=True),
        lead("X", email=BOB, is_removed=True),
        lead("L9", "nobody", is_removed=True),
    ]
    assert ledger.reconciliation.adopt(removed) == ledger.reconciliation.adopt(removed) == 0
    assert place(ledger, "a") == place(ledger, "b") == ("mapped", None)
    intend(ledger, 1, 2)
    assert [one.former for one in ledger.attempts.in_doubt()] == [{"L1"}, set()]
    assert [one.former for one in ledger.attempts.in_doubt([1])] == [{"L1"}]


def test_a_lead_that_was_removed_while_its_contact_is_in_doubt_stays_a_proof(
    ledger: Ledger,
) -> None:
    stage(ledger, a=ADA)
    intend(ledger, 1)
    ledger.reconciliation.adopt([lead("L1", "a", email=ADA, is_removed=True)])
    assert ledger.attempts.in_doubt()[0].former == frozenset()


def test_who_is_sent_in_spite_of_a_namesake_is_not_held_for_it_again(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    ledger.reconciliation.adopt([lead("X", email=ADA)])
    ledger.holds.release(Hold.ALREADY_IN_DESTINATION, None)
    ledger.reconciliation.adopt([lead("X", email=ADA)])
    assert place(ledger, "a") == ("mapped", None)
    intend(ledger, 1)
    assert ledger.attempts.in_doubt() == [Doubt(1, "a", ADA, "X")]


@pytest.mark.parametrize("pages", [["X", "L1"], ["L1", "X"], ["L1X"]])
def test_an_adopted_contact_has_its_namesake_whatever_the_order(
    ledger: Ledger, pages: list[str]
) -> None:
    stage(ledger, a=ADA)
    shown = {"L1": lead("L1", "a", email=ADA), "X": lead("X", email=ADA)}
    for page in pages:
        ledger.reconciliation.adopt([one for name, one in shown.items() if name in page])
    assert (place(ledger, "a"), owner(ledger, shown["X"])) == (("posted", None), None)
    assert ledger.lookup.foreign_lead(1) == "X"


def test_a_lead_is_nobodys_namesake_once_its_contact_is_posted(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    post(ledger, 1)
    before = content(ledger.path)
    ledger.reconciliation.adopt([lead("L1", "a", email=ADA), lead("X", email=ADA)])
    assert content(ledger.path) == before


def test_two_namesakes_hold_a_contact_once(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    namesakes = [lead("X", email=ADA), lead("Y", email=ADA)]
    ledger.reconciliation.adopt(namesakes)
    ledger.holds.release(None, None)
    ledger.reconciliation.adopt(namesakes)
    assert place(ledger, "a") == ("mapped", None)


# ── verification ─────────────────────────────────────────────────────────────────────────────────


def owner(ledger: Ledger, listed: LeadIdentity) -> int | None:
    found = ledger.verification.owners([listed])
    return found[listed.lead_id].key if found else None


def test_a_lead_is_whose_id_it_has_then_whose_line_then_whose_e_mail(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD)
    post(ledger, 1, 2, 3)
    assert owner(ledger, lead("L1", "b", email=CYD)) == 1
    assert owner(ledger, lead("X", "b", email=CYD)) == 2
    assert owner(ledger, lead("X", email=CYD)) == 3
    assert owner(ledger, lead("X", "nobody", email="dan@x.example")) is None
    assert owner(ledger, lead("X")) is None


def test_an_owner_comes_with_what_was_sent(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    post(ledger, 1, 2)
    assert ledger.verification.owners([lead("L2"), lead("X", "a"), lead("Y")]) == {
        "L2": MatchedContact(2, "L2", {"email": BOB}, is_in_doubt=False),
        "X": MatchedContact(1, "L1", {"email": ADA}, is_in_doubt=False),
    }


def test_who_was_not_posted_owns_what_has_its_line(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    post(ledger, 2)
    assert ledger.verification.owners([lead("X", "a", email=BOB)]) == {
        "X": MatchedContact(1, None, {"email": ADA}, is_in_doubt=False)
    }
    # Of two contacts that it names, the one that has no lead.
    assert owner(ledger, lead("X", "a", "b")) == 1
    assert owner(ledger, lead("X", email=ADA)) is None
    assert owner(ledger, lead("X", email=ADA, shows_notes=False)) is None


def test_who_was_sent_in_vain_owns_what_has_its_e_mail_where_notes_are_not_shown(
    ledger: Ledger,
) -> None:
    stage(ledger, a=ADA, b=BOB)
    intend(ledger, 1, 2)
    end(ledger, 1, Outcome.REFUSED)
    found = ledger.verification.owners(
        [lead("X", email=ADA, shows_notes=False), lead("Y", email=BOB, shows_notes=False)]
    )
    assert found == {
        "X": MatchedContact(1, None, {"email": ADA}, is_in_doubt=False),
        "Y": MatchedContact(2, None, {"email": BOB}, is_in_doubt=True),
    }
    assert owner(ledger, lead("X", email=ADA)) is None


def test_a_line_decides_whatever_the_e_mail(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    post(ledger, 1)
    assert owner(ledger, lead("X", "nobody", email=ADA)) is None


def test_where_a_namesake_was_before_us_an_e_mail_proves_nothing(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    ledger.reconciliation.adopt([lead("X", email=ADA)])
    ledger.holds.release(None, None)
    post(ledger, 1)
    assert owner(ledger, lead("X", email=ADA)) is None
    assert owner(ledger, lead("Y", email=ADA)) is None
    assert owner(ledger, lead("Y", "a", email=ADA)) == owner(ledger, lead("L1")) == 1


def test_sightings_are_written_with_the_cursor_behind_them(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    post(ledger, 1)
    ledger.verification.begin()
    ledger.verification.write_sightings([seen("L1", 1, "title")], "next")
    ledger.verification.write_sightings([seen("L1", 1)], "next but one")
    assert ledger.runs.checkpoint("verification") == Checkpoint(1, False, "next but one", 2, 0)
    rows = look(ledger.path, "SELECT lead_id, contact_key, differs FROM seen_lead")
    assert rows == [("L1", 1, None)]


def test_a_new_verification_forgets_what_the_last_one_saw(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    post(ledger, 1)
    ledger.verification.begin()
    ledger.verification.write_sightings([seen("L1", 1)], None)
    assert ledger.verification.unseen() == 0
    ledger.verification.begin()
    assert ledger.verification.unseen() == 1


def test_a_verification_concludes_what_it_saw(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD, d="dan@x.example")
    extract(ledger, "e")
    post(ledger, 1, 2, 3)
    verdict = verify(ledger, seen("L1", 1), seen("L2", 2, "title, phoneNumber"))
    assert verdict == VerifyCounters(verified=1, missing=1, different=1)
    assert place(ledger, "a") == ("verified", None)
    assert place(ledger, "b") == ("posted", "different")
    assert detail(ledger, "b") == "title, phoneNumber"
    assert place(ledger, "c") == ("posted", "missing")
    assert detail(ledger, "c") == "lead L3 is not listed"
    assert place(ledger, "d") == ("mapped", None)
    assert place(ledger, "e") == ("extracted", None)


def test_concluding_twice_changes_nothing(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD)
    post(ledger, 1, 2, 3)
    verify(ledger, seen("L1", 1), seen("L2", 2, "title"))
    before = content(ledger.path)
    assert ledger.verification.conclude() == VerifyCounters(verified=0, missing=1, different=1)
    assert content(ledger.path) == before


def test_what_is_in_order_again_is_free_again(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    post(ledger, 1, 2)
    verify(ledger, seen("L1", 1, "title"))
    verdict = verify(ledger, seen("L1", 1), seen("L2", 2))
    assert verdict == VerifyCounters(verified=2, missing=0, different=0)
    assert place(ledger, "a") == place(ledger, "b") == ("verified", None)


def edited(ledger: Ledger) -> list[tuple[str, str]]:
    return [(one.hubspot_id, one.fields) for one in ledger.counts.edited(9)[1]]


def test_a_verified_contact_that_is_gone_later_is_held_and_a_changed_one_is_edited(
    ledger: Ledger,
) -> None:
    stage(ledger, a=ADA, b=BOB)
    post(ledger, 1, 2)
    verify(ledger, seen("L1", 1), seen("L2", 2))
    assert verify(ledger, seen("L2", 2, "title")) == VerifyCounters(0, missing=1, edited=1)
    assert place(ledger, "a") == ("verified", "missing")
    assert (place(ledger, "b"), edited(ledger)) == (("verified", None), [("b", "title")])
    # Seen again, and edited: no reason to hold it any longer.
    assert verify(ledger, seen("L1", 1, "title"), seen("L2", 2)) == VerifyCounters(0, edited=1)
    assert (place(ledger, "a"), edited(ledger)) == (("verified", None), [("a", "title")])
    # Gone after it was edited, it is only missing.
    assert verify(ledger, seen("L2", 2)) == VerifyCounters(0, missing=1)
    assert edited(ledger) == []


def test_what_is_lacking_differs_where_other_leads_show_it(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD)
    post(ledger, 1, 2, 3)
    sightings = [seen("L1", 1, None, "notes, title"), seen("L2", 2, "email", "notes")]
    verdict = verify(ledger, *sightings, seen("L3", 3, None, "notes"), not_compared=["notes"])
    assert verdict == VerifyCounters(verified=1, different=2)
    assert (detail(ledger, "a"), detail(ledger, "b")) == ("title", "email")
    assert verify(ledger, *sightings, seen("L3", 3)) == VerifyCounters(verified=0, different=2)
    assert (detail(ledger, "a"), detail(ledger, "b")) == ("notes, title", "email, notes")


def test_a_removed_lead_of_its_own_is_missing(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    post(ledger, 1)
    assert verify(ledger, seen("L1", 1, removed=True)) == VerifyCounters(0, missing=1)
    assert detail(ledger, "a") == "lead L1 is marked as deleted or as a duplicate"
    # No second look would show it as it was.
    assert ledger.verification.unseen() == 0
    assert verify(ledger, seen("L1", 1)) == VerifyCounters(verified=1)


def test_what_either_of_two_listings_showed_counts_as_seen(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    post(ledger, 1, 2)
    ledger.verification.begin()
    ledger.verification.write_sightings([seen("L1", 1)], None)
    ledger.verification.begin(again=True)
    ledger.verification.write_sightings([seen("L2", 2)], None)
    assert ledger.verification.unseen() == 0
    assert ledger.verification.conclude() == VerifyCounters(verified=2)


def sight(ledger: Ledger, *sightings: SeenLead, as_sent: Collection[int] = ()) -> None:
    ledger.verification.write_sightings(sightings, None, list(as_sent))


def test_a_lead_that_is_listed_as_it_was_sent_is_marked_and_not_stored(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD)
    post(ledger, 1, 2, 3)
    ledger.verification.begin()
    sight(ledger, seen("X", 2, record="b"), as_sent=[1, 2])
    assert look(ledger.path, "SELECT lead_id FROM seen_lead") == [("X",)]
    assert ledger.verification.unseen() == 1
    assert ledger.verification.conclude() == VerifyCounters(verified=2, missing=1, doubled=1)
    assert [place(ledger, one) for one in "abc"] == [
        ("verified", None),
        ("verified", "doubled"),
        ("posted", "missing"),
    ]
    ledger.verification.begin()
    sight(ledger, as_sent=[1, 2, 3])
    assert ledger.verification.unseen() == 0
    assert ledger.verification.conclude() == VerifyCounters(verified=1)
    assert {place(ledger, one) for one in "abc"} == {("verified", None)}


def test_the_last_sighting_of_a_lead_counts(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB, c=CYD)
    post(ledger, 1, 2, 3)
    ledger.verification.begin()
    sight(ledger, seen("L2", 2, "title"), as_sent=[1, 3])
    ledger.verification.begin(again=True)
    sight(ledger, seen("L1", 1, "title"), as_sent=[2])
    # A row without an id is no sighting of a lead that was listed with its own.
    ledger.verification.write_unidentified([seen("L2", 2, "title"), seen("L3", 3, "title")])
    assert ledger.verification.unseen() == 0
    assert ledger.verification.conclude() == VerifyCounters(verified=2, different=1)
    assert detail(ledger, "a") == "title"
    assert look(ledger.path, "SELECT lead_id FROM seen_lead") == [("L1",)]


def test_leads_of_contacts_without_one_are_named_and_looked_for(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    ledger.holds.hold(1, Hold.GAVE_UP, "why")
    sightings = [
        seen("X", 1, record="a"),
        seen("Y", 1, record="a"),
        seen("Z", None, record="z"),
    ]
    assert verify(ledger, *sightings) == VerifyCounters(0, unclaimed=2, unknown=1)
    assert ledger.verification.unclaimed(9) == [
        UnclaimedLead("a", one, State.MAPPED, Hold.GAVE_UP, True) for one in ("X", "Y")
    ]
    assert ledger.verification.unclaimed(1) == ledger.verification.unclaimed(9)[:1]
    assert ledger.verification.unknown(9) == [UnknownLead("z", "Z")]
    assert ledger.runs.unclaimed() == 2
    assert place(ledger, "a") == ("mapped", "gave_up")
    ledger.runs.clear_unclaimed()
    assert ledger.runs.unclaimed() == 0


def test_leads_that_no_push_can_take_over_are_blocked(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    extract(ledger, "b")
    ledger.holds.hold(1, Hold.GAVE_UP, "why")
    ledger.holds.hold(2, Hold.NO_EMAIL, "why")
    sightings = [seen("X", 1), seen("Y", 2, record="b")]
    assert verify(ledger, *sightings) == VerifyCounters(0, blocked=2)
    assert (ledger.runs.unclaimed(), ledger.verification.unclaimed(9)) == (0, [])
    assert ledger.verification.blocked(9) == [
        UnclaimedLead("a", "X", State.MAPPED, Hold.GAVE_UP, False),
        UnclaimedLead("b", "Y", State.EXTRACTED, Hold.NO_EMAIL, True),
    ]


def test_guesses_by_e_mail_are_dropped_where_notes_are_shown(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    post(ledger, 2)
    ledger.verification.begin()
    ledger.verification.write_sightings(
        [seen("X", 1), seen("Y", 1, record="a"), seen("L2", 2), seen("Z", None, record="z")], None
    )
    assert ledger.verification.drop_guesses() == 1
    rows = look(ledger.path, "SELECT lead_id FROM seen_lead ORDER BY 1")
    assert rows == [("L2",), ("Y",), ("Z",)]


def test_the_newest_verification_says_what_is_wrong(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    post(ledger, 1)
    for sightings, verdict, held, why in (
        ([], VerifyCounters(0, 1, 0), "missing", "lead L1 is not listed"),
        ([seen("L1", 1, "title")], VerifyCounters(0, 0, 1), "different", "title"),
        ([seen("L1", 1, "notes")], VerifyCounters(0, 0, 1), "different", "notes"),
        ([], VerifyCounters(0, 1, 0), "missing", "lead L1 is not listed"),
        ([seen("L1", 1)], VerifyCounters(1, 0, 0), None, None),
    ):
        assert verify(ledger, *sightings) == verdict
        assert (place(ledger, "a")[1], detail(ledger, "a")) == (held, why)


def test_who_is_known_to_be_missing_is_not_unseen_again(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    post(ledger, 1)
    verify(ledger)
    post(ledger, 2)
    ledger.verification.begin()
    assert ledger.verification.unseen() == 1


def test_another_lead_of_a_contact_does_not_stand_for_its_own(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    post(ledger, 1)
    assert verify(ledger, seen("X", 1)) == VerifyCounters(0, missing=1, different=0)
    assert detail(ledger, "a") == "lead L1 is not listed; of this contact there is: X"


def test_a_contact_with_two_leads_is_named_with_both(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=BOB)
    post(ledger, 1, 2)
    verdict = verify(ledger, seen("L1", 1), seen("X", 1, "title"), seen("L2", 2))
    assert verdict == VerifyCounters(verified=2, doubled=1)
    assert place(ledger, "a") == ("verified", "doubled")
    assert detail(ledger, "a") == "lead L1 is the one to keep; there too: X"
    assert ledger.verification.doubled(9) == [DuplicateLeads("a", "L1", "L1, X")]
    assert verify(ledger, seen("L1", 1), seen("L2", 2)) == VerifyCounters(0)
    assert place(ledger, "a") == ("verified", None)


def test_a_doubled_contact_says_too_what_differs(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    post(ledger, 1)
    assert verify(ledger, seen("L1", 1, "title"), seen("X", 1)) == VerifyCounters(0, doubled=1)
    assert place(ledger, "a") == ("posted", "doubled")
    assert detail(ledger, "a") == "lead L1 is the one to keep; there too: X; different: title"
    assert verify(ledger, seen("L1", 1, "title")) == VerifyCounters(0, different=1)
    assert (place(ledger, "a"), detail(ledger, "a")) == (("posted", "different"), "title")


def test_of_very_many_leads_of_a_contact_some_are_named(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    post(ledger, 1)
    verify(ledger, seen("L1", 1), *(seen(f"X{number:03}", 1) for number in range(100)))
    (doubled,) = ledger.verification.doubled(9)
    assert len(doubled.lead_ids.split(", ")) == 21


@pytest.mark.parametrize("contacts", [1, 5, 6])
def test_conclusions_reach_the_last_contact(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, contacts: int
) -> None:
    monkeypatch.setattr(verification, "CONCLUDED_AT_ONCE", 2)
    keys = range(1, contacts + 1)
    stage(ledger, **{f"c{key}": f"{key}@x.example" for key in keys})
    post(ledger, *keys)
    verdict = verify(ledger, *(seen(f"L{key}", key) for key in keys[:-1]))
    assert verdict == VerifyCounters(verified=contacts - 1, missing=1, different=0)


def test_an_empty_ledger_has_nothing_to_conclude(ledger: Ledger) -> None:
    assert verify(ledger) == VerifyCounters(0, 0, 0)
    assert ledger.verification.unseen() == 0


# ── figures ──────────────────────────────────────────────────────────────────────────────────────


def test_every_contact_counts_once(ledger: Ledger) -> None:
    stage(ledger, a=ADA, b=ADA, c=CYD, d="dan@x.example")
    extract(ledger, "e", "f")
    post(ledger, 1)
    verify(ledger, seen("L1", 1))
    intend(ledger, 3)
    assert sorted(ledger.counts.sums(), key=str) == sorted(
        [
            StateCount(State.EXTRACTED, None, 2),
            StateCount(State.MAPPED, None, 2, in_doubt=1),
            StateCount(State.MAPPED, Hold.DUPLICATE_EMAIL, 1),
            StateCount(State.VERIFIED, None, 1),
        ],
        key=str,
    )
    assert (ledger.counts.to_send(), ledger.counts.in_doubt()) == (2, 1)


def test_held_contacts_are_listed_by_reason_in_hubspots_order(ledger: Ledger) -> None:
    stage(ledger, b=BOB, a=ADA, c=CYD)
    for key, held in ((1, Hold.REFUSED), (2, Hold.REFUSED), (3, Hold.GAVE_UP)):
        ledger.holds.hold(key, held, f"{key}")
    assert [one.hubspot_id for one in ledger.counts.held(Hold.REFUSED, 9)] == ["b", "a"]
    assert ledger.counts.held(Hold.GAVE_UP, 1)[0].detail == "3"
    assert len(ledger.counts.held(Hold.REFUSED, 1)) == 1


def test_a_report_can_ask_everything_while_a_push_is_at_work(ledger: Ledger) -> None:
    stage(ledger, a=ADA)
    intend(ledger, 1)
    with Ledger.open_read_only(ledger.path) as reading:
        assert reading.counts.to_send() == reading.counts.in_doubt() == 1
        assert reading.counts.sums() == [StateCount(State.MAPPED, None, 1, in_doubt=1)]
        assert [run.command for run in reading.runs.newest(9)] == ["push"]
        assert reading.counts.changed(9) == (0, [])
        assert reading.counts.held(Hold.REFUSED, 9) == []


def test_a_ledger_may_lie_where_the_name_is_not_utf_8(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff%3f.db")
    with Ledger.open_for_work(path):
        pass
    with Ledger.open_read_only(path) as ledger:
        assert ledger.runs.binding().portal_id is None
    assert path.exists()


@pytest.mark.parametrize(("limit", "count"), [(None, 0), (4, 1), (5, 0)])
def test_notes_that_leadgenius_would_cut_are_counted(
    ledger: Ledger, limit: int | None, count: int
) -> None:
    extract(ledger, "a", "b")
    leads = [(1, ADA, '{"notes": "12345"}'), (2, BOB, "{}")]
    ledger.contacts.write_mapped([MappedContact(k, lead, at, None) for k, at, lead in leads], [])
    assert ledger.counts.with_longer_notes(limit) == count


def test_the_fingerprint_of_the_last_write_stands_in_the_lock_file(tmp_path: Path) -> None:
    path = tmp_path / "migrator.db"
    assert noted_fingerprint(path) == ""
    with Ledger.open_for_work(path):
        pass
    assert noted_fingerprint(path) == fingerprint(path) != ""
