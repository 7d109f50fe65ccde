"""
Opens the ledger's file: for one process to work on it, or for any to read it.

Here are the modes of its files, the pragmas and the version of the schema.
"""

import contextlib
import errno
import os
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

from migrator.errors import LedgerError
from migrator.ledger.database import (
    BUSY_TIMEOUT_SECONDS,
    Database,
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
from migrator.ledger.lock import HeldUnderAnotherName, Lock, NotOurLock, is_held, noted_fingerprint
from migrator.ledger_errors import LedgerProblem, LockHolder, ledger_error
from migrator.private_files import OWNER_ONLY

SCHEMA_VERSION = 1

# `is_held` takes the lock for a moment.
LOCK_TIMEOUT_SECONDS = 0.2

# SQLite restarts its log after some 4 MB. A log that grew because of a long reader is cut to this;
# an ordinary one never is.
LONGEST_LOG_BYTES = 16 << 20

# A thousand contacts that are mapped change as many pages of the indexes of e-mails. If these do
# not fit, they are written and read again within a transaction.
CACHE_KILOBYTES = 8_000


def open_for_work(path: Path, *, creates: bool = True) -> Database:
    """
    Open the ledger to work on it, under its lock.

    Args:
        creates: Whether to create the ledger if there is none.

    Raises:
        LedgerBusy: another process works on it.
        LedgerError: the file cannot be used.
    """
    _check_sqlite(path)
    path = real_path(path)
    if not creates:
        _refuse_missing(path)
        # Before a lock file is created beside a file that is not a ledger.
        with translate_errors(path):
            _refuse_foreign(path, creates=False)
    lock = _locked(path)
    try:
        is_as_left = lock.fingerprint != "" and lock.fingerprint == fingerprint(path)
        with translate_errors(path):
            _refuse_foreign(path, creates=creates)
            _create_private(path)
            with _lock_errors(lock, path):
                lock.acquire_inode()
            connection = _connect(path, "rw")
            try:
                _load(connection, path)
                if not is_as_left:
                    refuse_damaged_values(connection, path)
            except BaseException:
                connection.close()
                connection.engine.dispose()
                raise
        return Database(path, connection, lock)
    except BaseException:
        lock.release()
        raise


def open_for_reading(path: Path) -> Database:
    """
    Open the ledger read-only: without waiting, without a lock, without a change to any mode.

    Raises:
        LedgerError: there is no such ledger, or it cannot be used.
    """
    path = real_path(path)
    _refuse_missing(path)
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
        raise ledger_error(LedgerProblem.MISSING, path)


class _ChangedMeanwhile(Exception):
    """Another process began to write a ledger that was at rest when it was opened."""


def _connect_checked(path: Path, mode: str, seen: str) -> Connection:
    """A connection for reading, to a file whose schema and values were checked."""
    connection = _connect(path, mode)
    try:
        _check_schema(connection, path)
        # A process at work has checked the file, or found it as its last worker left it.
        if not (noted_fingerprint(path) == seen or is_held(path)):
            refuse_damaged_values(connection, path)
    except BaseException as error:
        connection.close()
        connection.engine.dispose()
        if mode == "frozen" and isinstance(error, Exception) and fingerprint(path) != seen:
            raise _ChangedMeanwhile from None
        raise
    return connection


def is_locked(path: Path) -> bool:
    """Whether a process works on the ledger now."""
    return is_held(real_path(path))


def lock_holder(path: Path) -> LockHolder | None:
    """The process that works on the ledger right now; `None` = there is none."""
    path = real_path(path)
    return _holder(path) if is_held(path) else None


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """
    Hold the ledger's lock without opening the ledger.

    Raises:
        LedgerBusy: a process works on it.
        LedgerError: it cannot be locked.
    """
    lock = _locked(real_path(path))
    try:
        yield
    finally:
        lock.release()


def _check_sqlite(path: Path) -> None:
    if sqlite3.sqlite_version_info < (3, 37):
        version = sqlite3.sqlite_version
        raise ledger_error(LedgerProblem.OLD_SQLITE, path, version=version, needed="3.37")


def _locked(path: Path) -> Lock:
    if not path.parent.is_dir():
        raise ledger_error(LedgerProblem.NO_FOLDER, path)
    lock = Lock(path)
    with _lock_errors(lock, path):
        lock.acquire(LOCK_TIMEOUT_SECONDS)
    return lock


@contextmanager
def _lock_errors(lock: Lock, path: Path) -> Iterator[None]:
    try:
        yield
    except filelock.Timeout:
        raise ledger_error(LedgerProblem.BUSY, path, holder=_holder(path)) from None
    except HeldUnderAnotherName:
        # Through this name SQLite would not see the log, so it is not asked who that is.
        raise ledger_error(LedgerProblem.BUSY_ELSEWHERE, path) from None
    except NotOurLock:
        raise ledger_error(LedgerProblem.NOT_OUR_LOCK, path, lock=lock.path) from None
    except OSError as error:
        problem = LedgerProblem.NO_LOCKS if error.errno in _LOCKLESS else LedgerProblem.NOT_LOCKED
        raise ledger_error(problem, path, reason=error.strerror or error) from None


# The errors of file systems without locks.
_LOCKLESS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}


def _holder(path: Path) -> LockHolder:
    """The process that holds the lock, as far as its run in the ledger tells."""
    try:
        database = open_for_reading(path)
    except LedgerError:
        return LockHolder()
    with contextlib.closing(database):
        run = database.one(
            "SELECT command, pid, host FROM run WHERE ended_ms IS NULL ORDER BY id DESC LIMIT 1"
        )
    if run is None:
        return LockHolder()
    return LockHolder(run.command, run.pid, "" if run.host == socket.gethostname() else run.host)


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
    """Create the file readable by its owner alone, and restrict existing files to that."""
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
        narrow_all(path)
    except OSError as error:
        raise ledger_error(LedgerProblem.NOT_CREATED, path, reason=error.strerror) from None


def _connect(path: Path, mode: str) -> Connection:
    def connect() -> sqlite3.Connection:
        # isolation_level=None: the driver's default mode commits implicitly and leaves half-loaded
        # schemas; transactions begin by the event below only.
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(path.absolute()))}?{_MODES[mode]}",
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT_SECONDS,
            check_same_thread=True,
        )
        try:
            for pragma in _PRAGMAS[mode]:
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    # An error must not carry the values of a statement: they are personal data.
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
        f"cache_size = -{CACHE_KILOBYTES}",
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
        raise ledger_error(LedgerProblem.NOT_A_LEDGER, path)
    if version > SCHEMA_VERSION:
        raise ledger_error(LedgerProblem.NEWER, path, version=version, known=SCHEMA_VERSION)
    if version < SCHEMA_VERSION:
        raise ledger_error(LedgerProblem.DAMAGED, path)
    refuse_another_schema(connection, path)
