"""
A handler that appends to a log file with mode 0600, rotates it, and never fails a command.

A run can last a day. At 80 bytes a request and 1,000 requests a minute a day is about 115 MB, which
fits into eight files of 16 MiB; the newest has the name given.
"""

import logging
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from migrator.errors import UsageError
from migrator.private_files import OWNER_ONLY, restrict_to_owner

BYTES = 16 << 20
FILES = 8

_OURS = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")


class LogFileHandler(RotatingFileHandler):
    """
    Appends each record to a file.

    Args:
        path: The file; created if it does not exist.
        tell: Called once, with a message, when a record cannot be written.

    Raises:
        UsageError: the file cannot be written, or is not a log.
    """

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self._path = path
        self._tell: Callable[[str], None] | None = tell
        try:
            super().__init__(path, maxBytes=BYTES, backupCount=FILES - 1, encoding="utf-8")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not a valid file name"
            raise UsageError(
                f"The log {path} cannot be written: {why}.",
                "check its folder and permissions, or name another file with --log-file",
            ) from None

    def _open(self) -> TextIOWrapper:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        descriptor = os.open(self.baseFilename, flags, OWNER_ONLY)
        try:
            _refuse_another_file(descriptor, self._path)
            restrict_to_owner(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return open(descriptor, "a", encoding=self.encoding)  # noqa: PTH123

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Close the file; the next record opens it again."""
        stream, self.stream = self.stream, None
        if stream is not None:
            # What is left in its buffer would fail again with each record.
            with suppress(OSError, ValueError):
                stream.close()
        if (tell := self._tell) is not None:
            self._tell = None
            tell(f"The log {self._path} cannot be written any more.")


def _refuse_another_file(descriptor: int, path: Path) -> None:
    """Refuse to append to a file that is not a log, such as a ledger or a `.env`."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISCHR(mode):
        return
    begins = os.pread(descriptor, 64, 0) if stat.S_ISREG(mode) else b"?"
    if begins and not _OURS.match(begins):
        raise UsageError(
            f"{path} is not a log of migrator; it was left unchanged.",
            "name another file with --log-file",
        )
