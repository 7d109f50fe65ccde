"""
The process lock of a ledger, held by the kernel on a file beside it and on the ledger's own inode.

The kernel releases it when its holder dies. A lock that is only the existence of a file would stay
behind or be broken by guess, so a file system without kernel locks is refused (design, I6).

The file beside it has the note. The inode is one and the same under every name of the ledger: a
hard link, or a folder that is mounted twice, has another file beside it. Closing a descriptor of
the database drops the locks that SQLite holds on it in this process, so the inode's is opened
before SQLite opens the database, and closed after SQLite has closed it.
"""

import fcntl
import os
import re
import sys
from pathlib import Path

import filelock

from migrator.file_identity import is_on_network
from migrator.private_files import restrict_to_owner

# The whole content of a lock file: the fingerprint of the ledger's files.
_CONTENT = re.compile(rb"(files( \d{1,20})? *\n)?")
_LINE_BYTES = 64
# Elsewhere, as on macOS, an flock and SQLite's own locks on the same file exclude each other; so do
# they on a network file system.
_HAS_INODE_LOCKS = sys.platform.startswith("linux")


class HeldUnderAnotherName(Exception):
    """A process works on the same ledger, which it knows by another name."""


class NotOurLock(Exception):
    """The file beside the ledger is not one of our lock files."""


class Lock:
    """
    The lock of one ledger, not held yet.

    Args:
        path: The ledger's file.
    """

    def __init__(self, path: Path) -> None:
        self._ledger = path
        self.path = _beside(path)
        self._descriptor = self._inode = -1
        self._fingerprint = ""
        self._lock = filelock.FileLock(
            self.path,
            mode=0o600,
            # A file that merely exists survives a SIGKILL, and is then broken by guess.
            fallback_to_soft=False,
            on_acquired=self._take,
        )

    def acquire(self, timeout_seconds: float) -> None:
        """
        Take the lock, until `release` or the end of the process.

        Raises:
            filelock.Timeout: another process holds it.
            HeldUnderAnotherName: one holds the inode of the ledger, if it exists.
            NotOurLock: the file is not one of our lock files; it is left as it is.
            OSError: the file cannot be created or locked.
        """
        self._lock.acquire(timeout=timeout_seconds)
        try:
            if self._ledger.exists():
                self.acquire_inode()
        except BaseException:
            self.release()
            raise

    def acquire_inode(self) -> None:
        """
        Take the lock on the ledger's inode, unless it is held already.

        Raises:
            HeldUnderAnotherName: another process holds it.
            OSError: the ledger cannot be opened or locked.
        """
        if self._inode >= 0 or not _HAS_INODE_LOCKS or is_on_network(self._ledger):
            return
        descriptor = os.open(self._ledger, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                raise HeldUnderAnotherName from None
            raise
        self._inode = descriptor

    def _take(self, descriptor: int) -> None:
        # With `--ledger poetry` the lock file would be poetry.lock: look before any change.
        found = _understood(os.pread(descriptor, 2 * _LINE_BYTES, 0))
        if found is None:
            raise NotOurLock
        restrict_to_owner(descriptor)
        self._descriptor = descriptor
        self._fingerprint = found

    def is_in_place(self) -> bool:
        """Whether the locked file is still the one that the next process would lock."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.lstat())
        except OSError:
            return False

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the ledger's files at the last write; "" = unknown."""
        return self._fingerprint

    def write(self, fingerprint: str) -> None:
        """Write the fingerprint of the ledger's files for the next holder."""
        # In place: that works on a full disk too, and is never half done.
        line = f"{f'files {fingerprint}':{_LINE_BYTES - 1}}\n"
        os.pwrite(self._descriptor, line.encode("ascii"), 0)
        self._fingerprint = fingerprint

    def release(self) -> None:
        """Release the lock; SQLite must have closed the ledger."""
        if self._inode >= 0:
            os.close(self._inode)
            self._inode = -1
        self._lock.release()


def is_held(path: Path) -> bool:
    """Whether a process holds the ledger's lock now, as far as this user may read it."""
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


def noted_fingerprint(path: Path) -> str:
    """The fingerprint of a ledger's files at the last write; "" = unknown."""
    try:
        with _beside(path).open("rb") as stream:
            found = _understood(stream.read(2 * _LINE_BYTES))
    except OSError:
        return ""
    return found or ""


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _understood(text: bytes) -> str | None:
    """The fingerprint in a lock file, "" = none yet; `None` = it is not one of ours."""
    if not _CONTENT.fullmatch(text):
        return None
    return text.decode("ascii").removeprefix("files").strip()
