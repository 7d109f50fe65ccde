"""
A ledger in which another program wrote: whatever it left there is named as damage by who reads it
and by who would work on it. And how a ledger that nobody works on is read.
"""

import os
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ledgers import Shape, build
from migrator import cli
from migrator.errors import LedgerBusy, LedgerError
from migrator.ledger import Ledger
from migrator.ledger.database import translate_errors
from tests.support.inprocess_cli import InProcessCli, stops

DAMAGED = "cannot be used: it is damaged"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "migrator.db"
    build(path, Shape(20, left=5, in_doubt=2, state="posted"))
    with Ledger.open_for_work(path):
        pass
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    shutil.copy(template, tmp_path)
    return tmp_path / template.name


def edit(path: Path, *statements: str) -> None:
    """As a person with a shell of SQLite and no respect for rules."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            db.execute(statement)
        db.execute("PRAGMA writable_schema = RESET")


def assert_damaged(path: Path) -> None:
    for door in (Ledger.open_read_only, Ledger.open_for_work):
        with pytest.raises(LedgerError, match=DAMAGED) as error, door(path):
            pass
        assert "migrator stage" in error.value.hint


# What is refused


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE event",
        "DROP INDEX contact_held",
        "DROP VIEW open_attempt",
        "DROP TRIGGER contact_move_is_logged",
        "ALTER TABLE contact ADD COLUMN mine TEXT",
        "ALTER TABLE run DROP COLUMN counters",
        "CREATE TRIGGER mine AFTER INSERT ON run BEGIN UPDATE ledger SET pace = 1; END",
        "UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (pid >= 0)', '') WHERE name = 'run'",
        "INSERT INTO hold VALUES ('bored')",
        "DELETE FROM move WHERE target = 'verified'",
        "DELETE FROM ledger",
        "DELETE FROM checkpoint WHERE name = 'extraction'",
    ],
)
def test_a_schema_that_is_not_ours_is_damage(path: Path, statement: str) -> None:
    edit(path, statement)
    assert_damaged(path)


def test_a_view_does_not_stand_for_a_table(path: Path) -> None:
    edit(
        path,
        "ALTER TABLE state_count RENAME TO other",
        "CREATE VIEW state_count AS SELECT * FROM other",
    )
    assert_damaged(path)


@pytest.mark.parametrize(
    "statement",
    [
        # What a CHECK says; `test_schema` has every one of them.
        "UPDATE run SET counters = '[]'",
        "UPDATE run SET began_ms = 900000000000000000",
        "UPDATE event SET at_ms = -9000000000000000000",
        "UPDATE ledger SET pace = 1e-300",
        "UPDATE ledger SET intents = -5",
        # What another table says.
        "UPDATE state_count SET contacts = contacts + 1",
        "UPDATE state_count SET held = 'bored' WHERE state = 'posted' AND held = ''",
        "UPDATE event SET target = 'lost'",
        "UPDATE attempt SET run_id = 99 WHERE outcome IS NULL",
        "UPDATE contact SET mapping = 99 WHERE key = 1",
        "UPDATE seen_lead SET contact_key = 99",
    ],
)
def test_a_value_that_nobody_wrote_is_damage(path: Path, statement: str) -> None:
    edit(path, "INSERT INTO seen_lead (lead_id, contact_key) VALUES ('L', 1)")
    with Ledger.open_read_only(path):
        pass
    edit(path, statement)
    assert_damaged(path)


def test_bytes_that_are_no_text_are_damage(path: Path) -> None:
    edit(path, "UPDATE contact SET lead_id = CAST(x'ff00fe' AS TEXT) WHERE key = 1")
    with pytest.raises(LedgerError, match=DAMAGED), Ledger.open_read_only(path) as ledger:
        ledger.lookup.summaries([1])


@pytest.mark.parametrize("counters", ['{"posted": "five"}', '{"posted": -5}', '{"posted": 1e999}'])
def test_counters_are_numbers(path: Path, counters: str) -> None:
    edit(path, f"UPDATE run SET counters = '{counters}'")
    with pytest.raises(LedgerError, match=DAMAGED), Ledger.open_read_only(path) as ledger:
        ledger.runs.newest(5)


def test_what_somebody_added_for_himself_does_not_matter(path: Path) -> None:
    edit(path, "CREATE TABLE mine (a)", "CREATE VIEW held AS SELECT * FROM contact")
    edit(path, "create index my_own on contact(state)", "CREATE UNIQUE INDEX other ON mine (a)")
    edit(path, "ANALYZE")
    for door in (Ledger.open_read_only, Ledger.open_for_work):
        with door(path) as ledger:
            assert ledger.counts.to_send() == 7


def test_an_index_that_could_refuse_what_is_written_is_named(path: Path) -> None:
    edit(path, 'create unique index "my ""own" on run(host, id)', "CREATE INDEX b ON run (host)")
    words = r'a UNIQUE index was added .*\(my "own\)'
    for door in (Ledger.open_read_only, Ledger.open_for_work):
        with pytest.raises(LedgerError, match=words) as error, door(path):
            pass
        assert error.value.hint == f"""sqlite3 {path} 'DROP INDEX "my ""own";'"""
    edit(path, shlex.split(error.value.hint)[-1])
    with Ledger.open_for_work(path):
        pass


@pytest.mark.parametrize(
    "words",
    [
        "report",
        "show 1001",
        "plan --offline",
        "report --html a",
        "report --csv a",
        "stage",
    ],
)
def test_every_command_says_so(
    path: Path, words: str, sandbox: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    edit(path, "UPDATE contact SET lead = 'null' WHERE lead_id IS NOT NULL")
    shell = InProcessCli(path.parent, sandbox(contacts=1), monkeypatch, capsys)
    stops(shell.type(words), LedgerError.exit_code, DAMAGED)
    assert not Path("a").exists()


def test_a_failure_that_a_rotten_file_explains_is_no_bug(path: Path) -> None:
    # Rot leaves no trace, so nobody looks for it before something fails.
    with pytest.raises(LedgerError, match=DAMAGED), Ledger.open_for_work(path):
        edit(path, "UPDATE ledger SET intents = -5")
        raise ValueError("sends")
    shutil.copy(path, path.with_name("sound.db"))
    edit(path.with_name("sound.db"), "UPDATE ledger SET intents = 9")
    with pytest.raises(ValueError, match="bug"), Ledger.open_for_work(path.with_name("sound.db")):
        raise ValueError("bug")


def test_a_file_system_without_proper_locks_is_named() -> None:
    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorcode = sqlite3.SQLITE_PROTOCOL
    with (
        pytest.raises(LedgerError, match="file system do not work") as told,
        translate_errors(Path("x")),
    ):
        raise error
    assert "local disk" in told.value.hint


# Reading what nobody works on


def files(path: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in path.parent.iterdir()}


def test_reading_leaves_no_file_and_changes_none(path: Path) -> None:
    before = files(path)
    with Ledger.open_read_only(path) as ledger:
        assert ledger.counts.to_send() == 7
    assert files(path) == before


@contextmanager
def somebody_else(folder: Path) -> Iterator[None]:
    """A user to whom the modes of files apply, as they do not to root."""
    if os.geteuid() != 0:
        yield
        return
    owner = os.geteuid()
    for one in (folder, *folder.iterdir()):
        os.chown(one, 65_534, 65_534)
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(owner)


@pytest.fixture
def archive(template: Path) -> Iterator[Path]:
    """A ledger that may be read and nothing else, in a folder of that kind."""
    folder = Path(tempfile.mkdtemp())  # not below pytest's, which is for one user alone
    shutil.copy(template, folder)
    (folder / template.name).chmod(0o444)
    folder.chmod(0o555)
    yield folder / template.name
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("words", ["report", "show 1001", "plan --offline", "mapping"])
def test_a_ledger_in_a_read_only_folder_is_read(
    archive: Path, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The test's own home and folder are one user's alone.
    monkeypatch.setenv("HOME", "/")
    monkeypatch.chdir("/")
    typed = [*words.split(), "--ledger", str(archive)]
    before = files(archive)
    assert cli.main(typed) == 0  # and what it imports, root may read
    assert files(archive) == before
    with somebody_else(archive.parent):
        assert cli.main(typed) == 0, capsys.readouterr()
    assert files(archive) == before


def test_a_log_that_cannot_be_read_there_is_no_bug(archive: Path) -> None:
    archive.parent.chmod(0o755)
    archive.with_name(archive.name + "-wal").write_bytes(b"x" * 100)
    archive.parent.chmod(0o555)
    with (
        somebody_else(archive.parent),
        pytest.raises(LedgerError, match="cannot be opened"),
        Ledger.open_read_only(archive),
    ):
        pass


def test_a_reader_goes_on_when_somebody_begins_to_work(path: Path) -> None:
    with Ledger.open_read_only(path) as reader, Ledger.open_for_work(path) as worker:
        assert reader.runs.newest(1)[0].command != "verify"
        worker.runs.begin_run("verify")
        assert reader.runs.newest(1)[0].command == "verify"


def test_what_was_read_while_somebody_began_to_write_does_not_count(path: Path) -> None:
    def read(during: Callable[[], object]) -> int:
        with Ledger.open_read_only(path) as reader, reader.transaction():
            found = reader.counts.to_send()
            during()
        return found

    assert read(lambda: None) == 7
    with pytest.raises(LedgerBusy, match="while it was read") as error:
        read(lambda: begin_run(path))
    assert "again" in error.value.hint


def begin_run(path: Path) -> None:
    with Ledger.open_for_work(path) as worker:
        worker.runs.begin_run("verify")
