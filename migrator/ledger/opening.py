"""
Opening the ledger's file: for one process to work on it, or for any to look at it.

It owns the files' modes, the pragmas and the schema's version. It knows `schema.sql` as a text to
load, never a table of it (but for naming who holds the lock).
"""

import contextlib
import errno
import os
import shlex
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

import filelock
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from migrator.errors import LedgerBusy, LedgerError
from migrator.ledger.database import (
    BUSY_TIMEOUT_SECONDS,
    Database,
    damaged,
    execute_outside_transaction,
    translate_errors,
)
from migrator.ledger.files import (
    APPLICATION_ID,
    is_at_rest,
    is_marked,
    narrow_all,
    real_path,
)
from migrator.ledger.fingerprint import fingerprint
from migrator.ledger.integrity import (
    refuse_another_schema,
    refuse_damaged_values,
    schema,
    statements,
)
from migrator.ledger.lock import Lock, NotOurLock, is_held, noted_traces
from migrator.private_files import OWNER_ONLY

SCHEMA_VERSION = 1

# A report holds the lock for the moment in which it asks whether it is held.
LOCK_TIMEOUT_SECONDS = 0.2

# SQLite writes its log back after some 4 MB, and begins it anew. Where a reader that stayed long
# let it grow, it is cut down to this: far above the ordinary, so that an ordinary one is never cut.
LONGEST_LOG_BYTES = 16 << 20


def open_for_work(path: Path, *, creates: bool = True) -> Database:
    """
    Open the ledger to work on it, and keep every other worker out.

    Args:
        creates: Whether to create the ledger if there is none.

    Raises:
        LedgerBusy: another process works on it.
        LedgerError: the file cannot be used; the message says why.
    """
    _check_sqlite()
    path = real_path(path)
    if not creates:
        _refuse_missing(path)
    lock = _locked(path)
    try:
        is_as_left = lock.traces != "" and lock.traces == fingerprint(path)
        with translate_errors(path):
            _refuse_foreign(path, creates=creates)
            _create_private(path)
            connection = _connect(path, "rw")
            try:
                _load(connection, path)
                if not (is_as_left and _is_the_last_one(connection, lock)):
                    refuse_damaged_values(connection, path)
                _distrust_another_ledger(connection, lock)
            except BaseException:
                connection.close()
                connection.engine.dispose()
                raise
        return Database(path, connection, lock)
    except BaseException:
        lock.release()
        raise


def _distrust_another_ledger(connection: Connection, lock: Lock) -> None:
    """
    Look through the client, twice, when the ledger is not the one that was last worked on here.

    A copy that was put back, or a new ledger where one was lost, does not know what was sent
    since, and the last of it may still land.
    """
    if not _is_the_last_one(connection, lock):
        with connection.begin():
            connection.exec_driver_sql("UPDATE ledger SET scanned_ms = NULL, foreign_sends_ms = 0")


def _is_the_last_one(connection: Connection, lock: Lock) -> bool:
    """
    Whether the ledger knows of all that was last done here.

    The lock's file does not travel with a copy, so it tells: by the last run's number and
    beginning, since another ledger may have come to the same number, and by how many intents there
    were, since a copy may have been made within a run.
    """
    noted_run, _, noted_intents = lock.write_lock_note.rpartition(" ")
    with connection.begin():
        intents = connection.exec_driver_sql("SELECT intents FROM ledger").scalar_one()
        run = connection.exec_driver_sql(
            "SELECT id || ' ' || began_ms FROM run ORDER BY id DESC LIMIT 1"
        ).scalar()
    # A note is written after its intents are committed, and before they leave.
    return noted_run == (run or "") and int(noted_intents or 0) <= intents


def open_for_reading(path: Path) -> Database:
    """
    Open the ledger to look at it. It waits for nobody, blocks nobody and cannot write.

    Raises:
        LedgerError: there is no such ledger, or it cannot be used.
    """
    path = real_path(path)
    _refuse_missing(path)
    # To look at somebody else's ledger, or at one on a read-only disk, gives nobody more to read.
    with contextlib.suppress(OSError):
        if is_marked(path):
            narrow_all(path)
    with translate_errors(path):
        seen = fingerprint(path)
        if is_at_rest(path) and not is_held(path):
            with contextlib.suppress(_ChangedMeanwhile):
                frozen = _connect_checked(path, "frozen", seen)
                reopen = partial(_connect, path, "ro")
                return Database(path, frozen, None, frozen=seen, reopen=reopen)
        return Database(path, _connect_checked(path, "ro", seen), None)


def _refuse_missing(path: Path) -> None:
    if not path.exists():
        raise LedgerError(
            f"There is no ledger at {path}.",
            "migrator stage, which makes it; or name another file with --ledger",
        )


class _ChangedMeanwhile(Exception):
    """A process began to work on a ledger that was at rest when it was opened."""


def _connect_checked(path: Path, mode: str, seen: str) -> Connection:
    """A connection for reading, to a file that holds what a ledger holds."""
    connection = _connect(path, mode)
    try:
        _check_schema(connection, path)
        # What a process at work has open it has looked through, or knows as it was left.
        if not (noted_traces(path) == seen or is_held(path)):
            refuse_damaged_values(connection, path)
    except BaseException as error:
        connection.close()
        connection.engine.dispose()
        if mode == "frozen" and isinstance(error, Exception) and fingerprint(path) != seen:
            raise _ChangedMeanwhile from None
        raise
    return connection


def is_locked(path: Path) -> bool:
    """Whether a process works on the ledger right now."""
    return is_held(real_path(path))


def lock_holder(path: Path) -> str | None:
    """Who works on the ledger right now, in words; `None` = nobody."""
    path = real_path(path)
    return _holder(path) if is_held(path) else None


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """
    Keep every worker out for a while, without opening the ledger.

    Raises:
        LedgerBusy: a process works on it.
        LedgerError: it cannot be locked.
    """
    lock = _locked(real_path(path))
    try:
        yield
    finally:
        lock.release()


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < (3, 37):
        raise LedgerError(
            f"Python's SQLite is {sqlite3.sqlite_version}; the ledger needs 3.37 or newer.",
            "use a newer Python",
        )


def _locked(path: Path) -> Lock:
    if not path.parent.is_dir():
        raise LedgerError(
            f"The ledger {path} cannot be made: there is no folder {path.parent}.",
            f"mkdir -p {shlex.quote(str(path.parent))}",
        )
    lock = Lock(path)
    try:
        lock.acquire(LOCK_TIMEOUT_SECONDS)
    except filelock.Timeout:
        raise LedgerBusy(
            f"Another process works on the ledger {path}: {_holder(path)}.",
            "wait for it to end; `migrator report` can be used meanwhile",
        ) from None
    except NotOurLock:
        raise LedgerError(
            f"The ledger {path} cannot be locked: {lock.path} is no lock of migrator's.",
            "name another file with --ledger",
        ) from None
    except OSError as error:
        hint = f"check the permissions of {path.parent}"
        if error.errno in _LOCKLESS:
            hint = "keep the ledger on a local disk, which has locks: name one with --ledger"
        raise LedgerError(
            f"The ledger {path} cannot be locked: {error.strerror or error}.", hint
        ) from None
    return lock


# What file systems say that have no locks to give.
_LOCKLESS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}


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
    where = "" if run.host in ("", socket.gethostname()) else f" on {run.host}"
    return f"`migrator {run.command}`, process {run.pid}{where}"


def _refuse_foreign(path: Path, *, creates: bool) -> None:
    """Refuse a file that is not a ledger, before anything about it is changed."""
    if path.exists() and not is_marked(path) and not (creates and path.stat().st_size == 0):
        connection = _connect(path, "ro")
        try:
            if not (creates and _is_empty(connection)):
                _check_schema(connection, path)
        finally:
            connection.close()
            connection.engine.dispose()


def _is_empty(connection: Connection) -> bool:
    with connection.begin():
        return connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar() == 0


def _create_private(path: Path) -> None:
    """The files are their owner's alone from the first byte, also when they were wider before."""
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
        narrow_all(path)
    except OSError as error:
        raise LedgerError(
            f"The ledger {path} cannot be opened: {error.strerror}.",
            "check its permissions and its owner, or name another file with --ledger",
        ) from None


def _connect(path: Path, mode: str) -> Connection:
    def connect() -> sqlite3.Connection:
        # isolation_level=None: the driver's default mode commits behind our back and leaves
        # half-loaded schemas; transactions begin by the event below, and only there.
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(path.absolute()))}?{_MODES[mode]}",
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
        f"journal_size_limit = {LONGEST_LOG_BYTES}",
    ),
    "ro": ("query_only = ON",),
    "frozen": ("query_only = ON",),
}
_MODES = {"rw": "mode=rw", "ro": "mode=ro", "frozen": "mode=ro&immutable=1"}


def _begin_explicitly(engine: Engine, statement: str) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)


def _load(connection: Connection, path: Path) -> None:
    """Load the schema into an empty file, in one transaction, and check its version."""
    if _is_empty(connection):
        with connection.begin():
            for statement in statements(schema()):
                connection.exec_driver_sql(statement)
        # Out of the log and into the file, where `_is_marked` looks.
        execute_outside_transaction(connection, "PRAGMA wal_checkpoint")
    _check_schema(connection, path)


def _check_schema(connection: Connection, path: Path) -> None:
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
    if version < SCHEMA_VERSION:
        raise damaged(path)
    refuse_another_schema(connection, path)
