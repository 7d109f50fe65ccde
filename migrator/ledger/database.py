"""
One connection to the ledger's file: its transactions, and its failures in words.

It knows no table, but for asking whether the newest run is its own; the questions and moves are
its neighbours' business.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DatabaseError

from migrator.errors import LedgerBusy, LedgerError, RunAgain
from migrator.ledger.fingerprint import FileFingerprint, fingerprint
from migrator.ledger.lock import Lock

BUSY_TIMEOUT_SECONDS = 30
AT_ONCE = 100

Params = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Database:
    """
    One connection to one ledger file.

    Args:
        path: The ledger file.
        connection: An open connection; each of its transactions begins IMMEDIATE when it writes.
        lock: The process lock that is held for as long as the connection; `None` = read only.
        frozen: The traces of the files that an immutable connection reads, as they were before it
            was made; "" = it is an ordinary one.
        reopen: Makes an ordinary connection, for when a frozen file changes.
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
        self._began_ms = 0
        self._intents: int | None = None  # to be noted once they are committed
        self._witness = FileFingerprint(path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """
        All or nothing. Inside another transaction it joins that one, whose end commits both.

        Raises:
            LedgerError: the file could not be read or written, and nothing of it was kept; or it is
                not to be found any more where the next process will look for it.
            LedgerBusy: another process has begun a run since; this one is over.
        """
        if self._connection.in_transaction():
            yield
            return
        self._intents = None
        if self._lock is not None:
            self._witness.before_write()
        self._thaw()
        with self._steady(), translate_errors(self.path), self._connection.begin():
            self._check_newest()
            yield
        self._note()
        if not self._witness.is_in_place:
            raise LedgerError(
                f"The ledger {self.path} was moved, deleted or replaced while it was in use.",
                "put it back where it was; if it is gone: migrator stage, then migrator push",
            )

    def _thaw(self) -> None:
        """Somebody works on a file that was at rest: from now on read it as SQLite shares it."""
        if self._reopen is not None and self._has_changed():
            with translate_errors(self.path):
                connection = self._reopen()
            self._disconnect()
            self._connection, self._frozen = connection, ""

    def _has_changed(self) -> bool:
        return self._frozen != "" and fingerprint(self.path) != self._frozen

    @contextmanager
    def _steady(self) -> Iterator[None]:
        """Nothing that was read from a frozen file counts if somebody wrote it meanwhile."""
        try:
            yield
        except (LedgerError, DatabaseError):
            if not self._has_changed():
                raise
        if self._has_changed():
            raise LedgerBusy(
                f"Another process began to work on the ledger {self.path} while it was read.",
                RunAgain(),
            )

    def _disconnect(self) -> None:
        self._connection.close()
        self._connection.engine.dispose()

    def claim_fence(self, run_id: int, began_ms: int, intents: int) -> None:
        """
        From now on this run works here, for as long as no other process begins one.

        Args:
            began_ms: When it did; with the number, it tells this ledger from any other.
            intents: How many intents the ledger has.
        """
        self._run_id, self._began_ms, self._intents = run_id, began_ms, intents
        self._note()

    def set_intent_count(self, intents: int) -> None:
        """The transaction at hand brings the intents to so many; noted when it is committed."""
        self._intents = intents

    def _note(self) -> None:
        """Leave beside the ledger what the next process may trust it by."""
        if self._lock is None:
            return
        note, now = self._lock.write_lock_note, self._witness.after_write()
        if self._intents is not None:
            note = f"{self._run_id or 0} {self._began_ms} {self._intents}"
        if (note, now) == (self._lock.write_lock_note, self._lock.traces):
            return
        try:
            self._lock.write(note, now)
        except OSError as error:
            raise LedgerError(
                f"The lock of the ledger {self.path} cannot be written: {error.strerror}.",
                RunAgain("free some space, then "),
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
        # The driver knows named parameters itself; what SQLAlchemy makes of a text before it gets
        # there costs more than SQLite needs to run it.
        return self._connection.exec_driver_sql(sql, params)

    def rows(self, sql: str, **params: Any) -> list[Any]:
        """The rows of a question, each with its columns as attributes."""
        with self.transaction():
            return list(self.run(sql, params))

    def one(self, sql: str, **params: Any) -> Any:
        """The first row of a question, or `None`."""
        with self.transaction():
            return self.run(sql, params).first()

    def execute(self, sql: str, params: Params) -> int:
        """Run a guarded change; the number of rows that it landed on."""
        if not params:
            return 0
        with self.transaction():
            return self.run(sql, params).rowcount

    def execute_values(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
        """
        Run a guarded change for many rows in few statements; the number of rows it landed on.

        SQLite writes down what a statement overwrites, in case the statement fails. With a
        statement for each row, that alone costs more than the change itself.

        Args:
            sql: `{rows}` in it stands for the rows, as VALUES takes them.
        """
        with self.transaction():
            parts = (rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE))
            return sum(self._each(sql, part) for part in parts)

    def _each(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
        one = f"({', '.join('?' * len(rows[0]))})"
        text = sql.format(rows=", ".join([one] * len(rows)))
        return self._connection.exec_driver_sql(text, tuple(chain.from_iterable(rows))).rowcount

    def execute_outside_transaction(self, statement: str) -> list[Any]:
        """Run what SQLite runs outside of transactions only, such as VACUUM."""
        self._witness.before_write()
        with translate_errors(self.path):
            found = execute_outside_transaction(self._connection, statement)
        self._witness.after_write()
        return found

    def look_through(self, check: Callable[[Connection, Path], None]) -> None:
        """Let a check of the whole file have the connection."""
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
        except (ValueError, RecursionError):  # its message quotes the text
            raise damaged(self.path) from None

    def close(self) -> None:
        """Close the file, then let the next process in."""
        if self._lock is not None:
            self._witness.before_write()
        self._disconnect()
        if self._lock is not None:
            self._leave_traces(self._lock)
            self._lock.release()

    def _leave_traces(self, lock: Lock) -> None:
        """Of what SQLite did when it closed; where it cannot be noted the next one looks at all."""
        with suppress(OSError):
            lock.write(lock.write_lock_note, self._witness.after_write())


_TAKEN_OVER_HINT = RunAgain("let the other one end, then: ")


def execute_outside_transaction(connection: Connection, statement: str) -> list[Any]:
    """Run what SQLite runs outside of transactions only; SQLAlchemy would begin one."""
    driver: Any = connection.connection.driver_connection
    return list(driver.execute(statement))


def now_ms() -> int:
    """The wall clock, for columns that people read."""
    return time.time_ns() // 1_000_000


# Without a look for what SQLite's texts never begin with: blanks, or the mark of an encoding.
_decode = json.JSONDecoder().raw_decode


_CHECK_PERMISSIONS = "check the permissions of it and of its folder"
_FREE_SPACE = RunAgain("free some space, then ", "; nothing that was committed is lost")
_DAMAGED = (
    "it is damaged",
    "move it away, with its -wal file, and run `migrator stage` again: "
    "the next push finds what LeadGenius already holds",
)
# SQLite knows one reason of a full disk by its name. A quota, a limit of file sizes, or a full disk
# under the index of its log are only writes that failed to it, as those on a faulty disk are.
_NO_ROOM = ("the disk or a quota is full, or the disk is faulty", _FREE_SPACE)
_CAUSES: Mapping[int, tuple[str, str | RunAgain]] = {
    sqlite3.SQLITE_NOTADB: ("it is no SQLite database", "name another file with --ledger"),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: ("the disk is full", _FREE_SPACE),
    sqlite3.SQLITE_IOERR_WRITE: _NO_ROOM,
    sqlite3.SQLITE_IOERR_SHMSIZE: _NO_ROOM,
    sqlite3.SQLITE_IOERR: ("the disk reports an error", RunAgain("check the disk, then ")),
    sqlite3.SQLITE_READONLY: ("it may not be written", _CHECK_PERMISSIONS),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", _CHECK_PERMISSIONS),
    # What SQLite says of locks that contradict each other: those of a network drive, say.
    sqlite3.SQLITE_PROTOCOL: (
        "the locks of its file system do not work",
        "keep the ledger on a local disk, not on a network drive: name one with --ledger",
    ),
    sqlite3.SQLITE_PERM: ("it may not be accessed", _CHECK_PERMISSIONS),
    sqlite3.SQLITE_BUSY: (
        f"another program kept it locked for {BUSY_TIMEOUT_SECONDS} seconds",
        RunAgain("close what has it open, then "),
    ),
}


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """
    Turn what SQLite says of the file into words.

    Raises:
        LedgerError: the file is at fault. What is our own fault (a constraint) stays as it is.
    """
    try:
        yield
    except (sqlite3.DatabaseError, DatabaseError) as error:
        origin = error.orig if isinstance(error, DatabaseError) else error
        if (found := _cause(origin)) is None:
            raise
        raise unusable(path, *found) from None


def _cause(error: BaseException | None) -> tuple[str, str | RunAgain] | None:
    """What is wrong with the file, and what to do about it; `None` = it is not at fault."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Not SQLite's but its driver's: what it read is no text. Its message quotes it.
        return _DAMAGED if isinstance(error, sqlite3.OperationalError) else None
    # The low byte is the kind of failure; the rest only refines it.
    return _CAUSES.get(code) or _CAUSES.get(code & 0xFF)


def unusable(path: Path, cause: str, hint: str | RunAgain) -> LedgerError:
    """The error of a ledger's file that is at fault."""
    return LedgerError(f"The ledger {path} cannot be used: {cause}.", hint)


def damaged(path: Path) -> LedgerError:
    """The error of a file that holds what nobody wrote."""
    return unusable(path, *_DAMAGED)
