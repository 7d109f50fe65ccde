"""
The files of a ledger on disk: their names, their modes, their first bytes.

Nothing here opens SQLite, which would create files by reading.
"""

import os
from pathlib import Path

from migrator.ledger_errors import LedgerProblem, ledger_error
from migrator.private_files import restrict_to_owner, without_links

APPLICATION_ID = int.from_bytes(b"mgrt", "big")

# Of the files that SQLite keeps for a database.
_SUFFIXES = ("", "-wal", "-shm", "-journal")

# Where SQLite keeps the application id in the first bytes of a database.
_APPLICATION_ID_AT = slice(68, 72)


def real_path(path: Path) -> Path:
    """The path without links: the lock must not depend on the name that was given."""
    try:
        real = without_links(path)
        if real.exists() and not real.is_file():
            raise ledger_error(LedgerProblem.NOT_A_FILE, path)
    except (OSError, ValueError):
        raise ledger_error(LedgerProblem.UNREACHABLE, path) from None
    return real


def is_file_of(path: Path, target: Path) -> bool:
    """
    Whether `target` is one of a ledger's files, which need not exist yet.

    Names are compared without case, as on most desktop file systems.
    """
    try:
        ledger, real = without_links(path), without_links(target)
        own = [ledger.with_name(ledger.name + suffix) for suffix in (*_SUFFIXES, ".lock")]
        if str(real).casefold() in (str(one).casefold() for one in own):
            return True
        return real.exists() and any(one.exists() and one.samefile(real) for one in own)
    except (OSError, ValueError):
        return False  # opening such a name fails by itself


def is_marked(path: Path) -> bool:
    """Whether the file's first bytes mark it as a ledger."""
    # Not through SQLite, which would create files beside it with the same mode.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, 100, 0)[_APPLICATION_ID_AT] == APPLICATION_ID.to_bytes(4, "big")
    finally:
        os.close(descriptor)


def narrow_all(path: Path) -> None:
    for suffix in _SUFFIXES:
        restrict_to_owner(path.with_name(path.name + suffix))


def is_at_rest(path: Path) -> bool:
    """
    Whether the database file is complete without a log, so that it can be read as immutable.

    Otherwise SQLite creates files beside it, or, in a read-only folder, cannot read it. An
    immutable read takes no locks: `Database` checks that nothing was written meanwhile.
    """
    return not any(_size(path.with_name(path.name + suffix)) for suffix in ("-wal", "-journal"))


def _size(path: Path) -> int:
    """The file's size; 0 also if it does not exist."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
