"""
Files that are their owner's alone: the ledger with all that lies beside it, the credentials file.

Each is made so; this closes one that was wider, before anything is read or written through it. It
never looks at what a file holds.
"""

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
    Close a file to everybody but its owner; one that is not there is nobody's.

    Args:
        file: A descriptor, or a path. SQLite's files go by path: to close another descriptor of
            one would drop the locks that this process holds on it.

    Raises:
        PermissionError: it belongs to somebody else, who could read what is written into it.
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
        # A file system without modes (a USB stick, say) refuses this, and has none to narrow.
        if have.st_uid != os.geteuid():
            raise


def exposed(*paths: Path) -> list[Path]:
    """Those that others than their owner may read; one that is not there is not."""
    found = []
    for path in paths:
        with suppress(OSError):
            if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
                found.append(path)
    return found


def replace(target: Path, text: str) -> None:
    """Put `text` into `target` at once, readable by its owner alone from its first byte on."""
    with atomic_write(target) as stream:
        stream.write(text)


@contextmanager
def atomic_write(target: Path) -> Iterator[TextIO]:
    """
    What is written here becomes `target` at once at the end; nothing, where it does not come to it.

    Raises:
        OSError: it cannot be made there, or not be written.
    """
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        # Line ends are the writer's business.
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            os.fchmod(descriptor, OWNER_ONLY)  # a strict umask takes the owner's own bits
            yield stream
            stream.flush()
            os.fsync(descriptor)
        fresh.replace(target)
    except BaseException:
        # An interrupt too: a forgotten temporary file would be a forgotten token.
        fresh.unlink(missing_ok=True)
        raise
