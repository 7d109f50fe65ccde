"""
Files that are their owner's alone: the ledger with all that lies beside it, the credentials file.

Each is made so by whoever makes it; this closes one that was wider, before anything is read or
written through it. It opens nothing, and never looks at what a file holds.
"""

import os
import stat
from pathlib import Path

OWNER_ONLY = 0o600


def narrow(file: int | Path) -> None:
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
