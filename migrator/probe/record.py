"""
What this machine knows of the clients that probes made: a file in the state folder, and its lock.

An entry is written and synced before its client is created, and completed with the client's id
right after. It is taken out when the client is gone, so that a probe that was killed leaves one,
and the next probe removes the client. Two probes exclude each other by the lock.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import filelock

from migrator.errors import LedgerBusy, RunAgain
from migrator.journey.place import state_folder_errors
from migrator.leadgenius import LeadGeniusClient
from migrator.private_files import replace as replace_file
from migrator.probe.people import client_mark
from migrator.probe_records import probe_file

LOCK_SECONDS = 3.0
# A creation that was given up may still succeed; not after so long.
_FORGOTTEN_AFTER_SECONDS = 3_600.0


@dataclass(frozen=True)
class ProbeClientEntry:
    """
    A client of a probe.

    Args:
        token: The probe's, also in the client's mark.
        began: When, in seconds since 1970.
        client_id: None = it is not known whether it was created.
    """

    token: str
    name: str
    began: float
    client_id: str | None = None

    def is_of(self, client: LeadGeniusClient) -> bool:
        """Whether a listed client is this one."""
        if self.client_id is not None:
            return client.client_id == self.client_id
        mark = client_mark(client.description)
        return client.name == self.name or (mark is not None and mark[1] == self.token)


class ProbeClients:
    """
    The entries of one base URL, while the lock is held.

    Attributes:
        earlier: Those that were there at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = list(_read(path))
        self.earlier = tuple(self._entries)

    def left_earlier(self) -> list[str]:
        """The ids of clients that earlier probes created and that are not known to be gone."""
        ids = [one.client_id for one in self.earlier if one in self._entries]
        return [client_id for client_id in ids if client_id is not None]

    def add(self, entry: ProbeClientEntry) -> None:
        """Note a client that is about to be created."""
        self._write([*self._entries, entry])

    def set_id(self, token: str, client_id: str) -> None:
        """Note the id of one that was created."""
        self._write(
            [
                replace(one, client_id=client_id) if one.token == token else one
                for one in self._entries
            ]
        )

    def drop(self, token: str) -> None:
        """Forget one that is gone."""
        self._write([one for one in self._entries if one.token != token])

    def drop_outdated(self, clients: Sequence[LeadGeniusClient]) -> None:
        """Forget those that are not listed, and too old to be created yet."""
        oldest = time.time() - _FORGOTTEN_AFTER_SECONDS
        for entry in self.earlier:
            if entry.began < oldest and not any(map(entry.is_of, clients)):
                self.drop(entry.token)

    def _write(self, entries: list[ProbeClientEntry]) -> None:
        with state_folder_errors(self._path):
            replace_file(self._path, json.dumps([asdict(one) for one in entries]))
        self._entries = entries


@contextmanager
def hold_probe_clients(folder: Path, url: str) -> Iterator[ProbeClients]:
    """
    Hold the record of a base URL.

    Args:
        folder: The state folder.

    Raises:
        LedgerBusy: another probe holds it.
        NotReady: the state folder cannot be used.
    """
    path = probe_file(folder, url).with_suffix(".clients")
    lock = filelock.FileLock(path.with_suffix(".lock"), mode=0o600, fallback_to_soft=False)
    with state_folder_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except filelock.Timeout:
            raise LedgerBusy(
                "Another probe of this LeadGenius is running already.",
                RunAgain("wait until it has ended, then "),
            ) from None
    try:
        with state_folder_errors(path):
            clients = ProbeClients(path)
        yield clients
    finally:
        lock.release()


def _read(path: Path) -> Iterator[ProbeClientEntry]:
    """The entries in a file; those that cannot be understood are left out."""
    kept = []
    with suppress(FileNotFoundError, ValueError, RecursionError):
        kept = json.loads(path.read_text("utf-8"))
    for one in kept if isinstance(kept, list) else ():
        with suppress(AttributeError, ValueError, TypeError, KeyError, OverflowError):
            client_id = one.get("client_id")
            yield ProbeClientEntry(
                str(one["token"]),
                str(one["name"]),
                float(one["began"]),
                None if client_id is None else str(client_id),
            )
