"""
Files that only their owner can access: the ledger with its side files, the credentials file.

New files are created with mode 0600. Existing files are restricted before they are read or written.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

OWNER_ONLY = 0o600


def restrict_to_owner(file: int | Path) -> None:
    """
    Set the mode of a regular file to 0600; a missing file is ignored.

    Args:
        file: A descriptor or a path. Pass SQLite's files by path: closing another descriptor of
            such a file would drop the locks that this process holds on it.

    Raises:
        PermissionError: the file belongs to another user, who could read it.
    """
    try:
        have = file.lstat() if isinstance(file, Path) else os.fstat(file)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(have.st_mode) or stat.S_IMODE(have.st_mode) == OWNER_ONLY:
        return
    try:
        os.chmod(file, OWNER_ONLY)  # noqa: PTH101 - it takes a descriptor as well
    except PermissionError:
        # File systems without modes, as on USB sticks, reject this.
        if have.st_uid != os.geteuid():
            raise


def exposed(*paths: Path) -> list[Path]:
    """The files among these that other users may read; missing files are ignored."""
    found = []
    for path in paths:
        with suppress(OSError, ValueError):  # of a name that no file can have
            if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
                found.append(path)
    return found


def without_links(path: Path) -> Path:
    """
    The path with every link followed: replacing a link itself would leave its target as it was.

    Raises:
        OSError: its links form a loop, which `Path.resolve` does not tell in every version.
        ValueError: no file can have such a name.
    """
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return real


def replace(target: Path, text: str) -> None:
    """Write a file atomically, with mode 0600."""
    with atomic_write(target) as stream:
        stream.write(text)


@contextmanager
def atomic_write(target: Path) -> Iterator[TextIO]:
    """
    Write a file atomically: it replaces `target` on exit, or is deleted after an exception.

    Raises:
        OSError: the file cannot be created or written.
    """
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        # The caller decides on line ends.
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            os.fchmod(descriptor, OWNER_ONLY)  # a strict umask may remove the owner's own bits
            yield stream
            stream.flush()
            os.fsync(descriptor)
        fresh.replace(target)
    except BaseException:
        # Also after an interrupt: the temporary file may hold a token.
        fresh.unlink(missing_ok=True)
        raise
