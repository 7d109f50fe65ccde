"""
Where a ledger works: this machine, this file, and how many intents to send it had.

A copy of a ledger does not know what was sent after it was made, and neither does one that was put
back from a backup. So the place is recorded outside of the ledger's folder, in the user's state
folder, under the ledger's own id (the contract, section 5):

- The record is there, with no intents, before the first intent is committed.
- After each commit of intents, and before their first byte leaves, the count is written and synced.
- So a ledger that is ahead of its record is at its place: its process died between the two. One
  that is behind, or has another file or machine, or no record, is a copy, restored, or moved.
- A take-over records the new place and that looks are owed; only a quiet look strikes that out.
"""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from migrator.errors import NotReady
from migrator.file_identity import file_identity
from migrator.private_files import replace

_COUNT_BYTES = 64


@dataclass(frozen=True)
class Place:
    """
    Where a ledger works.

    Args:
        machine: The machine's id; "" = it has none.
        file: See `file_identity`; "" = not known.
        path, host: For people only: a plain rename is no other place.
    """

    machine: str
    file: str
    path: str
    host: str

    @classmethod
    def of(cls, ledger: Path) -> "Place":
        """The place of a ledger that is here."""
        return cls(machine_id(), file_identity(ledger), str(ledger), socket.gethostname())


@dataclass(frozen=True)
class Recorded:
    """
    What the record of a ledger says.

    Args:
        intents: The ledger's number of intents.
        owes_looks: Whether looks are owed before anything is sent.
        epoch: The epoch of the fence that was held last; 0 = none was.
    """

    place: Place
    intents: int
    owes_looks: bool
    epoch: int = 0


def is_elsewhere(recorded: Recorded | None, here: Place, intents: int) -> bool:
    """
    Whether a ledger with so many intents is not the one that last worked at its place.

    Args:
        recorded: `None` = there is no record of it.
    """
    if intents == 0:
        return False
    if recorded is None or recorded.place.machine != here.machine or recorded.intents > intents:
        return True
    # Where one of the two is not known, the file tells nothing.
    return recorded.place.file != here.file and "" not in (recorded.place.file, here.file)


class PlaceRecord:
    """
    The record of one ledger in the state folder. One thread uses it.

    Args:
        folder: The state folder; it is made when something is written.
        ledger_id: The ledger's own id.
    """

    def __init__(self, folder: Path, ledger_id: str) -> None:
        self._folder = folder / "ledgers"
        self._path = self._folder / ledger_id
        self._descriptor = -1
        self._counted = ""
        self._epoch = 0

    def read(self) -> Recorded | None:
        """
        What it says; `None` = there is none, or none that can be understood.

        Raises:
            NotReady: it cannot be read.
        """
        with state_folder_errors(self._path):
            try:
                text = self._path.read_text("utf-8")
            except (FileNotFoundError, UnicodeDecodeError):
                return None
        with suppress(ValueError, TypeError):
            count, _, place = text.partition("\n")
            intents, owes_looks, epoch = map(int, count.split())
            return Recorded(Place(**json.loads(place)), intents, bool(owes_looks), epoch)
        return None

    def begin(self, recorded: Recorded) -> None:
        """
        Write it anew, durably.

        Raises:
            NotReady: the state folder cannot be written.
        """
        self._epoch = recorded.epoch
        self._counted = self._count(recorded.intents, recorded.owes_looks)
        with state_folder_errors(self._path):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(self._path, self._counted + json.dumps(asdict(recorded.place)))
            for folder in (self._folder, self._folder.parent, self._folder.parent.parent):
                _sync(folder)
            self.close()
            self._descriptor = os.open(self._path, os.O_WRONLY)

    def update(self, intents: int, owes_looks: bool) -> None:
        """
        Write the count of intents and whether looks are owed, durably; `begin` was called before.

        Raises:
            NotReady: it cannot be written.
        """
        counted = self._count(intents, owes_looks)
        if counted == self._counted:
            return
        # In place: within one sector no moment has half of it, and a full disk has room for it.
        with state_folder_errors(self._path):
            os.pwrite(self._descriptor, counted.encode("ascii"), 0)
            os.fsync(self._descriptor)
        self._counted = counted

    def _count(self, intents: int, owes_looks: bool) -> str:
        return f"{intents} {int(owes_looks)} {self._epoch}".ljust(_COUNT_BYTES - 1) + "\n"

    def close(self) -> None:
        """Close its file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def machine_id() -> str:
    """The id of this machine, or of its operating system; "" = it has none."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostid"):
        with suppress(OSError, UnicodeDecodeError):
            if found := Path(path).read_text("ascii").strip():
                return found
    return _mac_id() if sys.platform == "darwin" else ""


def _mac_id() -> str:
    import ctypes

    found, no_wait = ctypes.create_string_buffer(16), (ctypes.c_long * 2)(0, 0)
    failed = ctypes.CDLL(None).gethostuuid(found, ctypes.byref(no_wait))
    return "" if failed else found.raw.hex()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def state_folder_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says of a file in the state folder into `NotReady`."""
    try:
        yield
    except OSError as error:
        raise NotReady(
            f"The state folder cannot be used: {path}: {error.strerror or error}.",
            "check its permissions and its disk, or set XDG_STATE_HOME to a folder on this machine "
            "that lasts",
        ) from None
