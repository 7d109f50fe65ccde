"""
Whether a ledger's files are as their last worker left them: then nobody needs to look at each page.

SQLite knows a log that was torn by its checksums, and never whether a log belongs to the database
beside it. An older copy that is put back beside the log of a process that was killed, or a log that
is taken away half copied into its database, make a mixture that it reads without a word. So after
each transaction it is noted, beside the ledger, what the kernel and the log say of the two files:

- the database's device, number, length and time of change. Only a checkpoint writes it, and the
  note follows; nobody can set that time, so a file that was copied, restored, edited or moved by
  anybody else carries another one, even where its contents and its other times are the same.
- the log's first bytes, which SQLite draws anew each time that it begins the log again. A process
  that is killed leaves that same log, longer by what it wrote; a log of another time, or none,
  differs.

A worker notes only what it wrote itself: where somebody else did meanwhile, it notes nothing more.
A note that does not fit proves nothing but that all has to be looked at: the process may have been
killed between a checkpoint and its note. What nobody wrote, such as a bit that rotted on the disk,
leaves no trace; it is found when its page is read.
"""

import hashlib
import os
from pathlib import Path

_LOG_HEADER_BYTES = 32


def fingerprint(path: Path) -> str:
    """
    A number that changes whenever somebody writes the database or begins its log again.

    It opens the log alone: to close another descriptor of the database would drop the locks that
    SQLite holds on it in this process.

    Returns:
        "" = there is no such file.
    """
    return _seen(path)[1]


class FileFingerprint:
    """
    Whether nobody but us wrote to a ledger's files since it was opened.

    Attributes:
        is_in_place: Whether the file that we wrote to was the one that its name led to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place, self._left = _seen(path)
        self._is_alone = self.is_in_place = True

    def before_write(self) -> None:
        """Before we write: is it as we left it?"""
        self._is_alone = self._is_alone and fingerprint(self._path) == self._left

    def after_write(self) -> str:
        """
        After we wrote.

        Returns:
            The traces to be noted; "" = what is there is not ours alone.
        """
        place, self._left = _seen(self._path)
        self.is_in_place = place == self._place
        self._is_alone = self._is_alone and self.is_in_place
        return self._left if self._is_alone else ""


def _seen(path: Path) -> tuple[tuple[int, int] | None, str]:
    """Which file a name leads to (`None` = to none), and its traces: one look for both."""
    try:
        found = path.stat()
    except OSError:
        return None, ""
    place = found.st_dev, found.st_ino
    told = (*place, found.st_size, found.st_ctime_ns, _log_header(path))
    return place, str(int.from_bytes(hashlib.sha256(repr(told).encode()).digest()[:8], "big"))


def _log_header(path: Path) -> bytes:
    """b"" = no log; one that is empty is none."""
    try:
        descriptor = os.open(path.with_name(path.name + "-wal"), os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.pread(descriptor, _LOG_HEADER_BYTES, 0)
    finally:
        os.close(descriptor)
