"""
The lock of a journey: one sender for a portal and a client on this machine, whichever its ledger.

It is a file in the state folder that the kernel locks for as long as its holder lives. It says who
the last holder was: a ledger that follows another one owes looks, since what that one sent last may
not be listed yet.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import filelock

from migrator.errors import LedgerBusy, RunAgain
from migrator.journey.place import state_folder_errors

_LONGEST = 16_384


def journey_key(portal_id: str, leadgenius_url: str, client_id: str) -> str:
    """The key of a journey: what is sent from where to where."""
    return json.dumps([portal_id, leadgenius_url, client_id])


class JourneyLock:
    """
    The lock of one journey, not held yet.

    Args:
        folder: The state folder.
        key: See `journey_key`.

    Attributes:
        last_ledger: Once held, the id of the ledger that was the last to hold it; "" = none was.
    """

    def __init__(self, folder: Path, key: str) -> None:
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        self._path = folder / "journeys" / f"{name}.lock"
        self._descriptor = -1
        self.last_ledger = ""
        self._lock = filelock.FileLock(
            self._path, mode=0o600, fallback_to_soft=False, on_acquired=self._take
        )

    def acquire(self, timeout_seconds: float) -> None:
        """
        Hold it until `release` or the end of the process.

        Raises:
            LedgerBusy: another process holds it.
            NotReady: the state folder cannot be used.
        """
        with state_folder_errors(self._path):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=timeout_seconds)
            except filelock.Timeout:
                raise LedgerBusy(
                    f"Another process sends into this client already: {_in_words(self._read())}.",
                    RunAgain("wait until it has ended, then "),
                ) from None

    def _take(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.last_ledger = str(self._read().get("ledger", ""))

    def write_holder(self, ledger_id: str, command: str, folder: Path) -> None:
        """Say who holds it, for the next one that asks."""
        holder = {
            "ledger": ledger_id,
            "command": command,
            "pid": os.getpid(),
            "folder": str(folder),
        }
        text = json.dumps(holder).encode()
        with state_folder_errors(self._path):
            os.pwrite(self._descriptor, text, 0)
            os.ftruncate(self._descriptor, len(text))

    def is_in_place(self) -> bool:
        """Whether the file that is locked is the one that the next process would try to lock."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.lstat())
        except OSError:
            return False

    def release(self) -> None:
        """Let the next process in."""
        self._lock.release()

    def _read(self) -> Mapping[str, object]:
        with suppress(OSError, ValueError):
            found = json.loads(self._path.read_bytes()[:_LONGEST])
            return found if isinstance(found, dict) else {}
        return {}


def _in_words(holder: Mapping[str, object]) -> str:
    if not holder:
        return "it does not say which"
    return "`migrator {command}`, process {pid}, from {folder}".format_map(
        {"command": "?", "pid": "?", "folder": "?", **holder}
    )
