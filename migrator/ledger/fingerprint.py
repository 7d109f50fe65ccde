"""
Detects whether a ledger's files were changed since we last wrote them; if not, no full check.

SQLite detects a torn log by its checksums, but not whether a log belongs to the database beside it:
an older copy beside the log of a killed process, or a database whose log was removed half copied,
is read as if it were right. So after each transaction the lock file gets a fingerprint of:

- the database's device, inode, length and change time (ctime). Only a checkpoint writes the
  database, and the note follows. The ctime cannot be set, so a file that was copied, restored,
  edited or moved has another one, even with the same contents.
- the log's header, which has new random bytes each time SQLite restarts the log. A killed process
  leaves the same log, only longer; a log from another time, or none, differs.

A process notes only its own writes: once another one has written, it notes nothing more. A
fingerprint that differs means only that the whole file is checked: the process may have been killed
between a checkpoint and its note. Bit rot leaves no trace; it is found when its page is read.
"""

import hashlib
import os
from pathlib import Path

_LOG_HEADER_BYTES = 32


def fingerprint(path: Path) -> str:
    """
    A number that changes whenever the database is written or its log restarted; "" = no file.

    Only the log is opened: closing another descriptor of the database would drop the locks that
    SQLite holds on it in this process.
    """
    return _seen(path)[1]


class FileFingerprint:
    """
    Tracks whether only this process wrote to a ledger's files since it was opened.

    Attributes:
        is_in_place: Whether the path still led to the open file after the last write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place, self._left = _seen(path)
        self._is_alone = self.is_in_place = True

    def before_write(self) -> None:
        """Check, before a write, that the files are as we left them."""
        self._is_alone = self._is_alone and fingerprint(self._path) == self._left

    def after_write(self) -> str:
        """
        Take the fingerprint after a write; "" = another process has written too.
        """
        place, self._left = _seen(self._path)
        self.is_in_place = place == self._place
        self._is_alone = self._is_alone and self.is_in_place
        return self._left if self._is_alone else ""


def _seen(path: Path) -> tuple[tuple[int, int] | None, str]:
    """The file behind a path (`None` = none) and its fingerprint, by one `stat`."""
    try:
        found = path.stat()
    except OSError:
        return None, ""
    place = found.st_dev, found.st_ino
    told = (*place, found.st_size, found.st_ctime_ns, _log_header(path))
    return place, str(int.from_bytes(hashlib.sha256(repr(told).encode()).digest()[:8], "big"))


def _log_header(path: Path) -> bytes:
    """The first bytes of the log; b"" = none, or empty."""
    try:
        descriptor = os.open(f"{path}-wal", os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.pread(descriptor, _LOG_HEADER_BYTES, 0)
    finally:
        os.close(descriptor)
