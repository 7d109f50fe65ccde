"""
The process lock: one working process for each ledger, by grace of the operating system's kernel.

It owns filelock and the file beside the ledger. The kernel releases the lock when its holder dies,
whatever it dies of; a lock that is only the existence of a file would stay behind, or be broken by
guess, so where the kernel offers none there is none (design, I6).
"""

import fcntl
import os
import re
from pathlib import Path

import filelock

from migrator.private_files import restrict_to_owner

# All that a lock of ours ever holds: the last run's number and beginning, the intents so far; below
# it, what the ledger's files were like. Older versions read the first line only: 64 bytes.
_NOTE = re.compile(rb"(\d{1,19}( \d{1,19}){,2})? *\n?(files( \d{1,20})? *\n)?")
_LINE_BYTES = 64


class NotOurLock(Exception):
    """The file beside the ledger is none of ours."""


class Lock:
    """
    The lock of one ledger, not held yet.

    Args:
        path: The ledger's file.
    """

    def __init__(self, path: Path) -> None:
        self._ledger = path
        self.path = _beside(path)
        self._descriptor = -1
        self._note = self._traces = ""
        self._lock = filelock.FileLock(
            self.path,
            mode=0o600,
            # A file that merely exists survives a SIGKILL, and is then broken by guess.
            fallback_to_soft=False,
            on_acquired=self._take,
        )

    def acquire(self, timeout_seconds: float) -> None:
        """
        Hold it, until `release` or the end of the process.

        Raises:
            filelock.Timeout: another process holds it.
            Foreign: what is there is no lock of ours; it is left as it is.
            OSError: the file cannot be made or locked.
        """
        self._lock.acquire(timeout=timeout_seconds)

    def _take(self, descriptor: int) -> None:
        # `--ledger poetry` would have poetry.lock for its lock: nothing is changed before a look.
        text = os.pread(descriptor, 2 * _LINE_BYTES, 0)
        # A number alone was ours once, beside a ledger; elsewhere it is a process's, say.
        is_number = text.strip().isdigit() and not self._ledger.exists()
        if is_number or (found := _understood(text)) is None:
            raise NotOurLock
        restrict_to_owner(descriptor)
        self._descriptor = descriptor
        self._note, self._traces = found

    def is_in_place(self) -> bool:
        """Whether the file that is locked is the one that the next process would try to lock."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.lstat())
        except OSError:
            return False

    @property
    def write_lock_note(self) -> str:
        """What the last holder wrote for the next one; "" = nothing."""
        return self._note

    @property
    def traces(self) -> str:
        """What the ledger's files were like when the last holder wrote; "" = nobody knows."""
        return self._traces

    def write(self, note: str, traces: str) -> None:
        """
        Leave something for the next holder.

        Args:
            note: Up to three numbers.
            traces: See `ledger.traces`.
        """
        # In place: a disk that is full has room for it, and no moment has half of it.
        lines = f"{note:{_LINE_BYTES - 1}}\n{f'files {traces}':{_LINE_BYTES - 1}}\n"
        os.pwrite(self._descriptor, lines.encode("ascii"), 0)
        self._note, self._traces = note, traces

    def release(self) -> None:
        """Let the next process in."""
        self._lock.release()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of the ledger right now, as far as this user may know."""
    try:
        descriptor = os.open(_beside(path), os.O_RDONLY)
    except OSError:
        return False
    try:
        if _understood(os.pread(descriptor, 2 * _LINE_BYTES, 0)) is None:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)  # and with it the lock
    return False


def noted_traces(path: Path) -> str:
    """What a ledger's files were like when its last worker wrote; "" = nobody can say."""
    try:
        with _beside(path).open("rb") as stream:
            found = _understood(stream.read(2 * _LINE_BYTES))
    except OSError:
        return ""
    return "" if found is None else found[1]


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _understood(text: bytes) -> tuple[str, str] | None:
    """The note and the traces that a lock of ours holds; `None` = it is none of ours."""
    if not _NOTE.fullmatch(text):
        return None
    first, _, second = text.decode("ascii").partition("files")
    return first.strip(), second.strip()
