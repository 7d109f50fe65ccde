"""
The ledger's errors: a code for each, with its message and the next command.

`migrator.ledger` raises a code and its arguments; the words are here. An argument is a name in
braces; `{path}`, `{folder}` and `{quoted_folder}` are always there.
"""

import shlex
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from migrator.errors import LedgerBusy, LedgerError, LedgerForgotten, RunAgain, WrongJourney
from migrator.text import one_line

_OTHER_FILE = "name another file with --ledger"
_LOCAL_DISK = "keep the ledger on a local disk"
_CHECK_PERMISSIONS = "check the permissions of it and of its folder"
_FREE_SPACE = RunAgain("free some space, then ")
_NOTHING_LOST = RunAgain(_FREE_SPACE.before, "; nothing that was committed is lost")
_RESUME = RunAgain("wait for the other process to end, then: ")
_UNUSABLE = "The ledger {path} cannot be used: "


class LedgerProblem(Enum):
    """A code; its value is the message and the hint."""

    # Its place
    MISSING = "There is no ledger at {path}.", f"migrator stage, which creates it; or {_OTHER_FILE}"
    NOT_A_FILE = "{path} is not a file.", _OTHER_FILE
    UNREACHABLE = "The ledger {path} cannot be reached.", _OTHER_FILE
    NO_FOLDER = (
        "The ledger {path} cannot be created: there is no folder {folder}.",
        "mkdir -p {quoted_folder}",
    )
    NOT_CREATED = (
        "The ledger {path} cannot be opened: {reason}.",
        f"check its permissions and its owner, or {_OTHER_FILE}",
    )
    MOVED = (
        "The ledger {path} was moved, deleted or replaced while it was in use.",
        "put it back where it was; if it is gone: migrator stage, then migrator push",
    )

    # What it is
    OLD_SQLITE = (
        "Python's SQLite is {version}; the ledger needs {needed} or newer.",
        "use a newer Python",
    )
    NOT_A_LEDGER = "{path} is a SQLite database, but not a migrator ledger.", _OTHER_FILE
    NEWER = (
        "The ledger {path} was written by a newer migrator "
        "(its schema is version {version}; this migrator knows {known}).",
        "pip install --upgrade hubspot-to-leadgenius",
    )
    UNIQUE_INDEXES = (
        _UNUSABLE
        + "a UNIQUE {indexes} added to its tables ({names}), which could refuse what is written.",
        "{command}",
    )

    # What SQLite says of it
    NOT_A_DATABASE = _UNUSABLE + "it is not a SQLite database.", _OTHER_FILE
    DAMAGED = (
        _UNUSABLE + "it is damaged.",
        "move it away, with its -wal file, and run `migrator stage` again: "
        "the next push finds the leads that LeadGenius already has",
    )
    DISK_FULL = _UNUSABLE + "the disk is full.", _NOTHING_LOST
    NO_ROOM = _UNUSABLE + "the disk or a quota is full, or the disk is faulty.", _NOTHING_LOST
    DISK_ERROR = _UNUSABLE + "the disk reports an error.", RunAgain("check the disk, then ")
    READ_ONLY = _UNUSABLE + "it is read-only.", _CHECK_PERMISSIONS
    NOT_OPENED = _UNUSABLE + "it cannot be opened.", _CHECK_PERMISSIONS
    NOT_ACCESSED = _UNUSABLE + "access is denied.", _CHECK_PERMISSIONS
    BROKEN_LOCKS = (
        _UNUSABLE + "the locks of its file system do not work.",
        f"{_LOCAL_DISK}, not on a network drive: name one with --ledger",
    )
    KEPT_LOCKED = (
        _UNUSABLE + "another program keeps it locked.",
        RunAgain("close the program that has it open, then "),
    )
    LOG_IN_USE = (
        "The log of the ledger {path} cannot be emptied yet: another program has the ledger open.",
        "close it, then: migrator forget",
    )

    # Its lock, and who else works on it
    NOT_OUR_LOCK = (
        "The ledger {path} cannot be locked: {lock} is not a migrator lock file.",
        _OTHER_FILE,
    )
    NO_LOCKS = (
        "The ledger {path} cannot be locked: {reason}.",
        f"{_LOCAL_DISK}, which supports locks: name one with --ledger",
    )
    NOT_LOCKED = (
        "The ledger {path} cannot be locked: {reason}.",
        "check the permissions of {folder}",
    )
    LOCK_NOT_WRITTEN = "The lock of the ledger {path} cannot be written: {reason}.", _FREE_SPACE
    BUSY = (
        "Another process works on the ledger {path}: {holder}.",
        "wait for it to end; `migrator report` works meanwhile",
    )
    BUSY_ELSEWHERE = (
        "Another process works on the ledger {path}, but not under its lock file: that was "
        "deleted, or the ledger has another name (a hard link, or a folder that is mounted twice).",
        "wait for it to end; then use the name that the ledger was created under",
    )
    BUSY_SINCE = (
        "Another process began to work on the ledger {path} while it was read.",
        RunAgain(),
    )
    LOCK_GONE = (
        "Another process may take over the ledger {path}: its lock file was deleted or replaced.",
        _RESUME,
    )
    TAKEN_OVER = (
        "Another process has taken over the ledger {path}; this one writes no more.",
        _RESUME,
    )

    # What it belongs to
    OTHER_JOURNEY = (
        "The ledger {path} belongs to the {what} {bound}, not to {wanted}.",
        "use the settings of its first run, or begin another ledger with --ledger",
    )
    FORGOTTEN = (
        "The ledger {path} is forgotten: it proves what was done, and "
        "nothing more can be done with it.",
        "begin another ledger with --ledger; its first push finds the leads that LeadGenius has",
    )


_TYPES = {
    LedgerProblem.BUSY: LedgerBusy,
    LedgerProblem.BUSY_ELSEWHERE: LedgerBusy,
    LedgerProblem.BUSY_SINCE: LedgerBusy,
    LedgerProblem.LOCK_GONE: LedgerBusy,
    LedgerProblem.TAKEN_OVER: LedgerBusy,
    LedgerProblem.OTHER_JOURNEY: WrongJourney,
    LedgerProblem.FORGOTTEN: LedgerForgotten,
}
_BOUND_TO = {
    "portal_id": "HubSpot portal",
    "leadgenius_url": "LeadGenius base URL",
    "client_id": "client_id",
}


class LockHolder(NamedTuple):
    """A process at work on a ledger, as its run says; `command=""` = unknown, `host=""` = here."""

    command: str = ""
    pid: int = 0
    host: str = ""

    def __str__(self) -> str:
        if not self.command:
            return "an unknown process"
        where = self.host and f" on {self.host}"
        return f"`migrator {self.command}`, process {self.pid}{where}"


def ledger_error(problem: LedgerProblem, path: Path, **arguments: object) -> LedgerError:
    """The error for a problem of a ledger's file."""
    folder = path.parent
    arguments |= {"path": path, "folder": folder, "quoted_folder": shlex.quote(str(folder))}
    message, hint = problem.value
    told = hint if isinstance(hint, RunAgain) else hint.format(**arguments)
    return _TYPES.get(problem, LedgerError)(message.format(**arguments), told)


def other_journey(path: Path, field: str, bound: str, wanted: str) -> LedgerError:
    """The error for a ledger that is bound to another portal, base URL or client (`field`)."""
    what = _BOUND_TO[field]
    return ledger_error(LedgerProblem.OTHER_JOURNEY, path, what=what, bound=bound, wanted=wanted)


def unique_indexes(path: Path, names: Sequence[str]) -> LedgerError:
    """The error for UNIQUE indexes that were added to a ledger's tables."""
    drops = " ".join('DROP INDEX "{}";'.format(name.replace('"', '""')) for name in names)
    return ledger_error(
        LedgerProblem.UNIQUE_INDEXES,
        path,
        indexes="index was" if len(names) == 1 else "indexes were",
        names=", ".join(map(one_line, names)),
        command=shlex.join(["sqlite3", str(path), drops]),
    )
