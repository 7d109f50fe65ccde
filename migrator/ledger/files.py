"""
What lies on the disk of a ledger: which files are its own, and who may read them.

It looks at names, modes and first bytes, never through SQLite, which would make files by looking.
"""

import os
from pathlib import Path

from migrator.ledger_errors import LedgerProblem, ledger_error
from migrator.private_files import restrict_to_owner

APPLICATION_ID = int.from_bytes(b"mgrt", "big")

# Of the files that SQLite makes of a database.
_SUFFIXES = ("", "-wal", "-shm", "-journal")

# Where SQLite keeps the application id in the first bytes of a database.
_APPLICATION_ID_AT = slice(68, 72)


def real_path(path: Path) -> Path:
    """The file itself: the lock must not depend on the name that it is reached by."""
    try:
        real = path.resolve()
        if real.exists() and not real.is_file():
            raise ledger_error(LedgerProblem.NOT_A_FILE, path)
    except (OSError, ValueError, RuntimeError):
        raise ledger_error(LedgerProblem.UNREACHABLE, path) from None
    return real


def is_file_of(path: Path, target: Path) -> bool:
    """
    Whether something that is written to `target` would be written into a ledger's files.

    They need not be there yet. A name counts in either case, as on the disks of most desktops.
    """
    try:
        ledger, real = path.resolve(), target.resolve()
        own = [ledger.with_name(ledger.name + suffix) for suffix in (*_SUFFIXES, ".lock")]
        if str(real).casefold() in (str(one).casefold() for one in own):
            return True
        return real.exists() and any(one.exists() and one.samefile(real) for one in own)
    except (OSError, ValueError, RuntimeError):
        return False  # a name that leads nowhere is refused by who opens it


def is_marked(path: Path) -> bool:
    """Whether its first bytes say that it is a ledger."""
    # Not through SQLite, which would make its own files beside it, as wide as it is.
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
    Whether all of it is in its one file, so that it can be read without a file beside it.

    Otherwise SQLite makes some there, where it may, and leaves them; where it may not, it reads
    nothing. Read in this way it has no locks: `Database` sees to it that nobody writes meanwhile.
    """
    return not any(_size(path.with_name(path.name + suffix)) for suffix in ("-wal", "-journal"))


def _size(path: Path) -> int:
    """0 = it is empty, or not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
