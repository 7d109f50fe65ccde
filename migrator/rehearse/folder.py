"""
The folder of a rehearsal: personal data that vanishes with it, also after a kill.

It lies in the state folder and not beside the ledger, so that each command finds what a kill has
left, whichever ledger it works on. A rehearsal holds the lock of its folder for as long as it
lives; a folder whose lock is free is removed.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_REHEARSALS = "rehearsals"
_LOCK = "lock"
# Another command may take a folder for an abandoned one before its lock is held.
_TRIES = 10


@contextmanager
def temporary_folder(state_folder: Path) -> Iterator[Path]:
    """
    A new folder of mode 0700, which is removed at the end, also after an exception.

    Raises:
        NotReady: the state folder cannot be used.
    """
    from migrator.journey.place import state_folder_errors

    with state_folder_errors(state_folder):
        folder, lock = _create(state_folder / _REHEARSALS)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def remove_abandoned(state_folder: Path) -> None:
    """
    Remove the folders of rehearsals that were killed.

    Where there is none, that is one look-up of a name. What cannot be removed is left to the next
    command: this one is about something else.
    """
    with suppress(OSError), os.scandir(state_folder / _REHEARSALS) as found:
        for one in found:
            with suppress(OSError):
                lock = _locked(Path(one.path))
                try:
                    _remove(Path(one.path))
                finally:
                    os.close(lock)


def _create(parent: Path) -> tuple[Path, int]:
    import tempfile  # here, so that no other command waits for it

    for tries in range(_TRIES):
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=parent))
            lock = _locked(folder)
        except (FileNotFoundError, BlockingIOError):
            if tries == _TRIES - 1:
                raise
            continue
        if _is_at(folder / _LOCK, lock):
            return folder, lock
        os.close(lock)
    raise FileNotFoundError(f"{parent} is emptied by another command again and again")


def _locked(folder: Path) -> int:
    """
    The descriptor of a folder's lock, held.

    Raises:
        BlockingIOError: a process holds it.
    """
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # there are others
        folder.parent.rmdir()
