"""
One connection to the ledger's file: its transactions, its records and its errors.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DatabaseError

from migrator.errors import LedgerError
from migrator.hold_details import sentence
from migrator.ledger.fingerprint import FileFingerprint, fingerprint
from migrator.ledger.lock import Lock
from migrator.ledger.newest_run import NewestRun
from migrator.ledger_errors import LedgerProblem, ledger_error

BUSY_TIMEOUT_SECONDS = 30
MOST_ROWS_AT_ONCE = 128

T = TypeVar("T")
Params = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Database:
    """
    One connection to one ledger file.

    Args:
        path: The ledger file.
        connection: An open connection; each of its transactions begins IMMEDIATE when it writes.
        lock: The process lock, held as long as the connection; `None` = read-only.
        frozen: Fingerprint of the files from before an immutable connection was opened; "" = the
            connection is an ordinary one.
        reopen: Opens an ordinary connection once a frozen file has changed.
    """

    def __init__(
        self,
        path: Path,
        connection: Connection,
        lock: Lock | None,
        *,
        frozen: str = "",
        reopen: Callable[[], Connection] | None = None,
    ) -> None:
        self.path = path
        self._frozen, self._reopen = frozen, reopen
        self._connection = connection
        self._lock = lock
        self._run_id: int | None = None
        self._intents: int | None = None  # of the current transaction
        # Called with the number of intents after each commit of some, before they may leave.
        self.on_intents: Callable[[int], None] = lambda intents: None
        self._files = FileFingerprint(path)
        self._newest_run = NewestRun(path, BUSY_TIMEOUT_SECONDS)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """
        Commit everything inside, or nothing; inside another transaction, join it.

        Raises:
            LedgerError: the file could not be read or written, and nothing was kept; or it is not
                at its path any more.
            LedgerBusy: another process has begun a run since.
        """
        if self._connection.in_transaction():
            yield
            return
        self._intents = None
        if self._lock is not None:
            self._files.before_write()
        self._reopen_if_changed()
        with self._discard_if_changed(), translate_errors(self.path), self._connection.begin():
            self._check_fence()
            yield
        self._write_lock_note()
        self._report_intents()
        if not self._files.is_in_place:
            raise ledger_error(LedgerProblem.MOVED, self.path)

    def _reopen_if_changed(self) -> None:
        """Replace an immutable connection once the file has changed."""
        if self._reopen is not None and self._has_changed():
            with translate_errors(self.path):
                connection = self._reopen()
            self._disconnect()
            self._connection, self._frozen = connection, ""

    def _has_changed(self) -> bool:
        return self._frozen != "" and fingerprint(self.path) != self._frozen

    @contextmanager
    def _discard_if_changed(self) -> Iterator[None]:
        """Discard what was read from a frozen file if the file was written meanwhile."""
        try:
            yield
        except (LedgerError, DatabaseError):
            if not self._has_changed():
                raise
        if self._has_changed():
            raise ledger_error(LedgerProblem.BUSY_SINCE, self.path)

    def _disconnect(self) -> None:
        self._connection.close()
        self._connection.engine.dispose()

    def claim_fence(self, run_id: int) -> None:
        """Make this run the only one that may write, until another process begins a run."""
        self._run_id = run_id

    def set_intent_count(self, intents: int) -> None:
        """Set the number of intents after the current transaction; see `on_intents`."""
        self._intents = intents

    def _report_intents(self) -> None:
        if self._intents is not None:
            self.on_intents(self._intents)

    def _write_lock_note(self) -> None:
        """Write into the lock file what the next process checks the ledger's files against."""
        if self._lock is None:
            return
        fingerprint = self._files.after_write()
        if fingerprint == self._lock.fingerprint:
            return
        try:
            self._lock.write(fingerprint)
        except OSError as error:
            reason = error.strerror
            raise ledger_error(LedgerProblem.LOCK_NOT_WRITTEN, self.path, reason=reason) from None

    def check_lock(self) -> None:
        """
        Check that the lock still keeps other processes out.

        Raises:
            LedgerBusy: its file was deleted or replaced: the next process would not see our lock.
        """
        if self._lock is not None and not self._lock.is_in_place():
            raise ledger_error(LedgerProblem.LOCK_GONE, self.path)

    def _check_fence(self) -> None:
        """Refuse to write if another run has begun since, as after a lost lock (design, I6)."""
        if self._run_id is not None:
            newest = self._connection.exec_driver_sql("SELECT max(id) FROM run").scalar()
            self._refuse_newer(newest, self._run_id)

    def check_newest_run(self) -> None:
        """
        Check that no other run has begun since; callable from any thread.

        Raises:
            LedgerBusy: one has.
        """
        if self._run_id is not None:
            with translate_errors(self.path):
                newest = self._newest_run.id()
            self._refuse_newer(newest, self._run_id)

    def _refuse_newer(self, newest: int | None, ours: int) -> None:
        # An older one is not a take-over: our own run may have been rolled back.
        if newest is not None and newest > ours:
            raise ledger_error(LedgerProblem.TAKEN_OVER, self.path)

    def run(self, sql: str, params: Params | None = None) -> CursorResult[Any]:
        """Run one statement, or the same one for each of a sequence of parameters."""
        # A statement outside a transaction would stay open: SQLAlchemy begins one by itself.
        if not self._connection.in_transaction():
            raise RuntimeError("a statement needs a transaction")
        # The driver binds named parameters itself; compiling a `text()` takes longer than most of
        # these statements run.
        return self._connection.exec_driver_sql(sql, params)

    def rows(self, sql: str, **params: Any) -> list[Any]:
        """The rows of a query, each with its columns as attributes."""
        with self.transaction():
            return list(self.run(sql, params).all())  # all at once costs less than one by one

    def one(self, sql: str, **params: Any) -> Any:
        """The first row of a query, or `None`."""
        with self.transaction():
            return self.run(sql, params).first()

    def read(self, kind: type[T], sql: str, **params: Any) -> list[T]:
        """
        The rows of a query as records: one column a field, in their order, as the field's type.

        Enums are made, JSON is decoded, names are split. A field `detail` is a hold's sentence.
        """
        if not (rows := self.rows(sql, **params)):
            return []
        convert = [self._converter(name, type_) for name, type_ in _fields(cast("Hashable", kind))]
        # Column by column: row by row takes twice as long.
        columns = zip(convert, zip(*rows, strict=True), strict=True)
        return list(map(kind, *(map(to, column) for to, column in columns)))

    def _converter(self, name: str, type_: Any) -> Callable[[Any], Any]:
        if name == "detail":
            return self.hold_detail
        if type_ is Mapping:
            return self.decoded
        if type_ is frozenset:
            return lambda text: frozenset(self.decoded(text))
        if type_ is tuple:
            return lambda names: tuple(names.split(",")) if names else ()
        return lambda value: None if value is None else type_(value)

    def execute(self, sql: str, params: Params) -> int:
        """Run a guarded change; returns the number of rows changed."""
        if not params:
            return 0
        with self.transaction():
            return self.run(sql, params).rowcount

    def execute_values(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
        """
        Run a guarded change for many rows in few statements; returns the number of rows changed.

        SQLite journals what each statement overwrites, in case it fails. With a statement for each
        row, that costs more than the change itself. The driver keeps the compiled statements, tens
        of kilobytes each, so their lengths are powers of two: few, however many rows come.

        Args:
            sql: `{rows}` in it stands for the rows, as VALUES takes them.
        """
        changed = start = 0
        with self.transaction():
            while left := len(rows) - start:
                length = min(MOST_ROWS_AT_ONCE, 1 << left.bit_length() - 1)
                changed += self._each(sql, rows[start : start + length])
                start += length
        return changed

    def _each(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
        one = f"({', '.join('?' * len(rows[0]))})"
        text = sql.format(rows=", ".join([one] * len(rows)))
        return self._connection.exec_driver_sql(text, tuple(chain.from_iterable(rows))).rowcount

    def execute_outside_transaction(self, statement: str) -> list[Any]:
        """Run a statement that SQLite allows only outside transactions, such as VACUUM."""
        self._files.before_write()
        with translate_errors(self.path):
            found = execute_outside_transaction(self._connection, statement)
        self._files.after_write()
        return found

    def back_up(self, target: sqlite3.Connection, pages: int, pause: Callable[[], None]) -> None:
        """
        Write the file as of one moment into another one; `pause` is called after so many pages.

        Raises:
            LedgerError: the file could not be read, or another process began to write it meanwhile.
        """
        with self.transaction():
            self.one("SELECT 1 FROM ledger")  # from here on, this connection sees one moment
            driver: Any = self._connection.connection.driver_connection
            driver.backup(target, pages=pages, progress=lambda *_: pause())

    def look_through(self, check: Callable[[Connection, Path], None]) -> None:
        """Run a check of the whole file on this connection."""
        with translate_errors(self.path):
            check(self._connection, self.path)

    def decoded(self, text: str | None) -> Any:
        """
        The value of a JSON text that the file holds; `None` stays `None`.

        Raises:
            LedgerError: the stored JSON is corrupt; `quick_check` does not detect that.
        """
        if text is None:
            return None
        try:
            value, end = _decode(text)
            return value if end == len(text) else json.loads(text)
        except (ValueError, RecursionError):  # whose message quotes the text
            raise ledger_error(LedgerProblem.DAMAGED, self.path) from None

    def hold_detail(self, text: str | None) -> str | None:
        """
        The sentence of a hold's detail as the file holds it; `None` stays `None`.

        Raises:
            LedgerError: the stored detail is corrupt.
        """
        try:
            return sentence(self.decoded(text))
        except (KeyError, TypeError):
            raise ledger_error(LedgerProblem.DAMAGED, self.path) from None

    def close(self) -> None:
        """Close the file, then release the lock."""
        if self._lock is not None:
            self._files.before_write()
        self._newest_run.close()
        self._disconnect()
        if self._lock is not None:
            self._note_fingerprint(self._lock)
            self._lock.release()

    def _note_fingerprint(self, lock: Lock) -> None:
        """Note the files' fingerprint after closing; without it the next process checks them."""
        with suppress(OSError):
            lock.write(self._files.after_write())


def execute_outside_transaction(connection: Connection, statement: str) -> list[Any]:
    """Run a statement that SQLite allows only outside transactions; SQLAlchemy would begin one."""
    driver: Any = connection.connection.driver_connection
    return list(driver.execute(statement))


@cache
def _fields(kind: Hashable) -> tuple[tuple[str, Any], ...]:
    """(name, type) of each field; of `X | None` the X, of a generic type its origin."""
    return tuple((name, _bare(hint)) for name, hint in get_type_hints(kind).items())


def _bare(hint: Any) -> Any:
    if isinstance(hint, UnionType):
        hint = next(one for one in get_args(hint) if one is not NoneType)
    return get_origin(hint) or hint


def now_ms() -> int:
    """The wall clock in milliseconds, for columns that people read."""
    return time.time_ns() // 1_000_000


# Skips the checks of `json.loads` for leading blanks and byte order marks.
_decode = json.JSONDecoder().raw_decode


# SQLite reports only one kind of full disk as such. A quota, a limit of file sizes or a full disk
# under its log's index are failed writes, like those on a faulty disk.
SQLITE_PROBLEMS = {
    sqlite3.SQLITE_NOTADB: LedgerProblem.NOT_A_DATABASE,
    sqlite3.SQLITE_CORRUPT: LedgerProblem.DAMAGED,
    sqlite3.SQLITE_FULL: LedgerProblem.DISK_FULL,
    sqlite3.SQLITE_IOERR_WRITE: LedgerProblem.NO_ROOM,
    sqlite3.SQLITE_IOERR_SHMSIZE: LedgerProblem.NO_ROOM,
    sqlite3.SQLITE_IOERR: LedgerProblem.DISK_ERROR,
    sqlite3.SQLITE_READONLY: LedgerProblem.READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: LedgerProblem.NOT_OPENED,
    # Locks that contradict each other, as on a network drive.
    sqlite3.SQLITE_PROTOCOL: LedgerProblem.BROKEN_LOCKS,
    sqlite3.SQLITE_PERM: LedgerProblem.NOT_ACCESSED,
    sqlite3.SQLITE_BUSY: LedgerProblem.KEPT_LOCKED,
}


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """
    Turn SQLite's errors about the file into ours.

    Raises:
        LedgerError: the file is at fault. Our own mistakes (a constraint) are raised as they are.
    """
    try:
        yield
    except (sqlite3.DatabaseError, DatabaseError) as error:
        origin = error.orig if isinstance(error, DatabaseError) else error
        if (problem := _problem(origin)) is None:
            raise
        raise ledger_error(problem, path) from None


def _problem(error: BaseException | None) -> LedgerProblem | None:
    """What is wrong with the file; `None` = it is not at fault."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # From the driver: a value is not valid text. Its message quotes the value.
        return LedgerProblem.DAMAGED if isinstance(error, sqlite3.OperationalError) else None
    # The low byte is the kind of failure; the rest only refines it.
    return SQLITE_PROBLEMS.get(code) or SQLITE_PROBLEMS.get(code & 0xFF)
