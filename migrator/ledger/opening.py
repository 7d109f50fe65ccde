"""
Opening the ledger's file: for one process to work on it, or for any to look at it.

It owns the process lock, the file's mode, the pragmas and the schema's version. It knows
`schema.sql` as a text to load, never a table of it (but for naming who holds the lock).
"""

import contextlib
import os
import socket
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import filelock
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from migrator.errors import LedgerBusy, LedgerError
from migrator.ledger.database import BUSY_TIMEOUT_SECONDS, Database, explained

SCHEMA_VERSION = 1
APPLICATION_ID = int.from_bytes(b"mgrt", "big")

# A report holds the lock for the moment in which it asks whether it is held.
LOCK_PATIENCE_SECONDS = 0.2

# How each version becomes the next one: version -> statements, applied in one transaction.
UPGRADES: Mapping[int, Sequence[str]] = {}


def open_for_work(path: Path) -> Database:
    """
    Open the ledger to work on it, made anew if there is none, and keep every other worker out.

    Raises:
        LedgerBusy: another process works on it.
        LedgerError: the file cannot be used; the message says why.
    """
    _check_sqlite()
    path = _real(path)
    lock = _locked(path)
    try:
        with explained(path):
            _refuse_foreign(path)
            _create_private(path)
            connection = _connect(path, "rw")
            try:
                _prepare(connection, path)
                _distrust_another_ledger(connection, path)
            except BaseException:
                connection.close()
                connection.engine.dispose()
                raise
        return Database(path, connection, lock)
    except BaseException:
        lock.release()
        raise


def note_run(path: Path, words: str) -> None:
    """Write beside the ledger how its last run stands, for `_distrust_another_ledger`."""
    _lock_path(path).write_text(f"{words}\n", encoding="ascii")


def _distrust_another_ledger(connection: Connection, path: Path) -> None:
    """
    Look through the client, twice, when the ledger is not the one that was last worked on here.

    A copy that was put back, or a new ledger where one was lost, does not know what was sent
    since, and the last of it may still land. The lock's file does not travel with a copy, so it
    tells: by when the last run began, since another ledger may have come to the same number, and
    by whether it ended, since a copy may have been made meanwhile.
    """
    noted = _lock_path(path).read_text(encoding="ascii", errors="replace").strip()
    with connection.begin():
        last = connection.exec_driver_sql(f"SELECT {RUN_IN_WORDS} FROM run").scalar()
        if noted != (last or ""):
            connection.exec_driver_sql("UPDATE ledger SET listed_ms = NULL, adopted_ms = 0")


# SQLite takes the other columns from the row with the greatest id.
RUN_IN_WORDS = "max(id) || ' ' || began_ms || iif(ended_ms IS NULL, '', ' ended')"


def open_for_reading(path: Path) -> Database:
    """
    Open the ledger to look at it. It waits for nobody, blocks nobody and cannot write.

    Raises:
        LedgerError: there is no such ledger, or it cannot be used.
    """
    path = _real(path)
    if not path.exists():
        raise LedgerError(f"There is no ledger at {path}.", "migrator stage")
    with explained(path):
        connection = _connect(path, "ro")
        try:
            _check_version(connection, path)
        except BaseException:
            connection.close()
            connection.engine.dispose()
            raise
    return Database(path, connection, None)


def is_locked(path: Path) -> bool:
    """Whether a process works on the ledger right now."""
    lock_path = _lock_path(_real(path))
    if not lock_path.exists():
        return False
    probe = filelock.FileLock(lock_path, timeout=0, mode=0o600)
    try:
        probe.acquire()
    except (filelock.Timeout, OSError):
        return True
    probe.release()
    return False


def _real(path: Path) -> Path:
    """The file itself: the lock must not depend on the name that it is reached by."""
    try:
        real = path.resolve()
        if real.exists() and not real.is_file():
            raise LedgerError(f"{path} is no file.", "name another one with --ledger")
    except (OSError, ValueError, RuntimeError):
        raise LedgerError(
            f"The ledger {path} cannot be reached.", "name another one with --ledger"
        ) from None
    return real


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < (3, 37):
        raise LedgerError(
            f"Python's SQLite is {sqlite3.sqlite_version}; the ledger needs 3.37 or newer.",
            "use a newer Python",
        )


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _locked(path: Path) -> filelock.BaseFileLock:
    if not path.parent.is_dir():
        raise LedgerError(
            f"The ledger {path} cannot be made: there is no folder {path.parent}.",
            f"mkdir -p {path.parent}",
        )
    lock = filelock.FileLock(_lock_path(path), timeout=LOCK_PATIENCE_SECONDS, mode=0o600)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise LedgerBusy(
            f"Another process works on the ledger {path}: {_holder(path)}.",
            "wait for it to end; `migrator report` can be used meanwhile",
        ) from None
    except OSError as error:
        raise LedgerError(
            f"The ledger {path} cannot be locked: {error.strerror or error}.",
            f"check the permissions of {path.parent}",
        ) from None
    return lock


def _holder(path: Path) -> str:
    """Who holds the lock, as far as its run in the ledger tells."""
    unknown = "it does not say which"
    try:
        database = open_for_reading(path)
    except LedgerError:
        return unknown
    with contextlib.closing(database):
        run = database.one(
            "SELECT command, pid, host FROM run WHERE ended_ms IS NULL ORDER BY id DESC LIMIT 1"
        )
    if run is None:
        return unknown
    where = "" if run.host == socket.gethostname() else f" on {run.host}"
    return f"`migrator {run.command}`, process {run.pid}{where}"


def _refuse_foreign(path: Path) -> None:
    """Whatever else the file is, it is refused before anything about it is changed."""
    if path.exists() and path.stat().st_size:
        connection = _connect(path, "ro")
        try:
            if not _is_empty(connection):
                _check_version(connection, path)
        finally:
            connection.close()
            connection.engine.dispose()


def _is_empty(connection: Connection) -> bool:
    with connection.begin():
        return connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar() == 0


def _create_private(path: Path) -> None:
    """The file is its owner's alone from the first byte, also when it existed with a wider mode."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise LedgerError(
            f"The ledger {path} cannot be opened: {error.strerror}.",
            "check its permissions, or name another one with --ledger",
        ) from None
    try:
        # A file system without modes (a USB stick, say) refuses this, and has none to narrow.
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _connect(path: Path, mode: str) -> Connection:
    def connect() -> sqlite3.Connection:
        # isolation_level=None: the driver's default mode commits behind our back and leaves
        # half-loaded schemas; transactions begin by the event below, and only there.
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT_SECONDS,
            check_same_thread=True,
        )
        for pragma in _PRAGMAS[mode]:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    # An error must not carry the values of a statement: they are people.
    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool, hide_parameters=True)
    _begin_explicitly(engine, "BEGIN IMMEDIATE" if mode == "rw" else "BEGIN")
    return engine.connect()


# FULL: a committed intent must survive a power cut, which NORMAL does not promise under WAL.
# The two fsync settings matter on macOS, where a plain fsync does not reach the disk.
_PRAGMAS = {
    "rw": (
        "journal_mode = WAL",
        "synchronous = FULL",
        "fullfsync = ON",
        "checkpoint_fullfsync = ON",
        "foreign_keys = ON",
    ),
    "ro": ("query_only = ON",),
}


def _begin_explicitly(engine: Engine, statement: str) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)


def _prepare(connection: Connection, path: Path) -> None:
    """Load the schema into an empty file, or bring an older one up, in one transaction."""
    if _is_empty(connection):
        with connection.begin():
            for statement in statements(schema()):
                connection.exec_driver_sql(statement)
    version = _check_version(connection, path)
    if version < SCHEMA_VERSION:
        upgrade(connection, version)


def _check_version(connection: Connection, path: Path) -> int:
    with connection.begin():
        application = connection.exec_driver_sql("PRAGMA application_id").scalar()
        version = int(connection.exec_driver_sql("PRAGMA user_version").scalar() or 0)
    if application != APPLICATION_ID:
        raise LedgerError(
            f"{path} is a SQLite database, but no ledger of migrator.",
            "name another file with --ledger",
        )
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"The ledger {path} was written by a newer migrator "
            f"(its schema is version {version}; this migrator knows {SCHEMA_VERSION}).",
            "pip install --upgrade migrator",
        )
    return version


def upgrade(connection: Connection, version: int) -> None:
    """Bring a ledger of an older version up to this one; all of it lands, or nothing."""
    with connection.begin():
        for step in range(version, SCHEMA_VERSION):
            for statement in UPGRADES[step]:
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def schema() -> str:
    """The text of `schema.sql`, the one definition of the ledger."""
    return files("migrator").joinpath("schema.sql").read_text(encoding="utf-8")


def statements(script: str) -> Iterator[str]:
    """Cut a script into statements. Not at each semicolon: a trigger's body has some of its own."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
