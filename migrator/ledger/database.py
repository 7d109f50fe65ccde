"""
One connection to the ledger's file: its transactions, and its failures in words.

It knows no table, but for asking whether the newest run is its own; the questions and moves are
its neighbours' business.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult, text
from sqlalchemy.exc import DatabaseError

from migrator.errors import LedgerBusy, LedgerError
from migrator.ledger.lock import Lock

BUSY_TIMEOUT_SECONDS = 30

Params = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Database:
    """
    One connection to one ledger file.

    Args:
        path: The ledger file.
        connection: An open connection; each of its transactions begins IMMEDIATE when it writes.
        lock: The process lock that is held for as long as the connection; `None` = read only.
    """

    def __init__(self, path: Path, connection: Connection, lock: Lock | None) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock
        self._run_id: int | None = None
        self._sends: int | None = None  # to be noted once they are committed

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """
        All or nothing. Inside another transaction it joins that one, whose end commits both.

        Raises:
            LedgerError: the file could not be read or written; nothing of it was kept.
            LedgerBusy: another process has begun a run since; this one is over.
        """
        if self._connection.in_transaction():
            yield
            return
        self._sends = None
        with explained(self.path), self._connection.begin():
            self._check_newest()
            yield
        self._note()

    def begin_as(self, run_id: int, sends: int) -> None:
        """
        From now on this run works here, for as long as no other process begins one.

        Args:
            sends: How many intents the ledger has.
        """
        self._run_id, self._sends = run_id, sends
        self._note()

    def count_sends(self, sends: int) -> None:
        """The transaction at hand brings the intents to so many; noted when it is committed."""
        self._sends = sends

    def _note(self) -> None:
        if self._lock is None or self._sends is None:
            return
        try:
            self._lock.write_note(f"{self._run_id or 0} {self._sends}")
        except OSError as error:
            raise LedgerError(
                f"The lock of the ledger {self.path} cannot be written: {error.strerror}.",
                "free some space, then run the same command again",
            ) from None

    def check_lock(self) -> None:
        """
        Go on only while the lock would keep another process out.

        Raises:
            LedgerBusy: its file was deleted or replaced. Whoever comes next finds none, and works.
        """
        if self._lock is not None and not self._lock.is_in_place():
            raise LedgerBusy(
                f"Another process may take over the ledger {self.path}: the lock's file beside it "
                "was deleted or replaced.",
                _TAKEN_OVER_HINT,
            )

    def _check_newest(self) -> None:
        """Whoever was paused while its lock was lost is to write no more (design, I6)."""
        if self._run_id is None:
            return
        newest = self._connection.exec_driver_sql("SELECT max(id) FROM run").scalar()
        # An older one is no taking over: its own may have been rolled back.
        if newest is not None and newest > self._run_id:
            raise LedgerBusy(
                f"Another process has taken over the ledger {self.path}; this one writes no more.",
                _TAKEN_OVER_HINT,
            )

    def run(self, sql: str, params: Params | None = None) -> CursorResult[Any]:
        """Run one statement, or the same one for each of a sequence of parameters."""
        # A statement outside a transaction would stay open: SQLAlchemy begins one by itself.
        if not self._connection.in_transaction():
            raise RuntimeError("a statement needs a transaction")
        return self._connection.execute(_statement(sql), params)

    def rows(self, sql: str, **params: Any) -> list[Any]:
        """The rows of a question, each with its columns as attributes."""
        with self.transaction():
            return list(self.run(sql, params))

    def one(self, sql: str, **params: Any) -> Any:
        """The first row of a question, or `None`."""
        with self.transaction():
            return self.run(sql, params).first()

    def moved(self, sql: str, params: Params) -> int:
        """Run a guarded change; the number of rows that it landed on."""
        if not params:
            return 0
        with self.transaction():
            return self.run(sql, params).rowcount

    def plain(self, statement: str) -> list[Any]:
        """Run what SQLite runs outside of transactions only, such as VACUUM."""
        with explained(self.path):
            return plain(self._connection, statement)

    def close(self) -> None:
        """Close the file, then let the next process in."""
        self._connection.close()
        self._connection.engine.dispose()
        if self._lock is not None:
            self._lock.release()


_TAKEN_OVER_HINT = "let the other one end, then: migrator push --resume"


def plain(connection: Connection, statement: str) -> list[Any]:
    """Run what SQLite runs outside of transactions only; SQLAlchemy would begin one."""
    driver: Any = connection.connection.driver_connection
    return list(driver.execute(statement))


def now_ms() -> int:
    """The wall clock, for columns that people read."""
    return time.time_ns() // 1_000_000


_statements: dict[str, Any] = {}


def _statement(sql: str) -> Any:
    # Parsing the text for its parameters costs more than SQLite needs to run it.
    if sql not in _statements:
        _statements[sql] = text(sql)
    return _statements[sql]


_CHECK_PERMISSIONS = "check the permissions of it and of its folder"
_CAUSES = {
    sqlite3.SQLITE_NOTADB: ("it is no SQLite database", "name another file with --ledger"),
    sqlite3.SQLITE_CORRUPT: (
        "it is damaged",
        "move it away and run `migrator stage` again: "
        "the next push finds what LeadGenius already holds",
    ),
    sqlite3.SQLITE_FULL: (
        "the disk is full",
        "free some space and run the same command again; nothing that was committed is lost",
    ),
    sqlite3.SQLITE_IOERR: ("the disk reports an error", "check the disk, then run it again"),
    sqlite3.SQLITE_READONLY: ("it may not be written", _CHECK_PERMISSIONS),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", _CHECK_PERMISSIONS),
    sqlite3.SQLITE_PERM: ("it may not be accessed", _CHECK_PERMISSIONS),
    sqlite3.SQLITE_BUSY: (
        f"another program kept it locked for {BUSY_TIMEOUT_SECONDS} seconds",
        "close what has it open, then run the same command again",
    ),
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """
    Turn what SQLite says of the file into words.

    Raises:
        LedgerError: the file is at fault. What is our own fault (a constraint) stays as it is.
    """
    try:
        yield
    except (sqlite3.DatabaseError, DatabaseError) as error:
        origin = error.orig if isinstance(error, DatabaseError) else error
        # The low byte is the kind of failure; the rest only refines it.
        code = (getattr(origin, "sqlite_errorcode", None) or 0) & 0xFF
        if code not in _CAUSES:
            raise
        cause, hint = _CAUSES[code]
        raise LedgerError(f"The ledger {path} cannot be used: {cause}.", hint) from None
