"""
The shelf: every lead that LeadGenius holds, and the order in which it lists them.

Owns the leads, as bytes of JSON so that a million fit in memory. It must never judge a lead:
whatever reaches `put` is kept, twice if it comes twice.
"""

import json
import threading
import time
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

from migrator.sandbox.messages import Lead

# To put so many in their places one by one takes less than to sort a million.
_FEW = 100

# Statuses of leads that are stored but no longer in use.
DELETED = "to_be_deleted"
_OUT_OF_USE = (DELETED, "duplicate")


@dataclass(frozen=True, slots=True)
class StoredLead:
    """
    A lead on the shelf.

    Args:
        body: JSON of what was posted, and the `id` and `createdAt` of the service.
        saved_at: Monotonic clock, seconds.
        planted: Put there by a test or a user, not by a request.
        mark: The status of a lead that is out of use; empty for all others.
    """

    id: str
    client_id: str
    body: bytes
    saved_at: float
    planted: bool = False
    mark: str = ""

    def lead(self) -> Lead:
        """The lead as an object of its own."""
        lead: Lead = json.loads(self.body)
        return lead


@dataclass(frozen=True, slots=True)
class LeadListing:
    """One page of a listing; `more` tells whether another one follows."""

    leads: list[StoredLead]
    more: bool


class LeadStore:
    """
    All leads of all clients.

    Args:
        read_lag_seconds: How long after it was saved a lead stays invisible to readers.
    """

    def __init__(self, seed: int, read_lag_seconds: float) -> None:
        self.hides_deleted = False  # from readers, what is marked so
        self._seed = seed
        self._lag = read_lag_seconds
        self._lock = threading.Lock()
        self._held: dict[str, StoredLead] = {}
        self._ids: dict[str, list[str]] = {}  # of each client, sorted
        self._fresh: dict[str, list[str]] = {}  # not among them yet
        self._saved = 0
        self._given: list[str] = []

    def give_ids(self, ids: Iterable[str]) -> None:
        """Give the next leads these ids instead of ids of our own."""
        with self._lock:
            self._given.extend(ids)

    def put(self, lead: Lead, planted: bool = False) -> StoredLead:
        """Keep a lead under the `client_id` that it names, be there such a client or not."""
        with self._lock:
            self._saved += 1
            lead_id = self._new_id()
            client_id = str(lead["client_id"])
            body = _body(lead_id, lead)
            held = StoredLead(lead_id, client_id, body, time.monotonic(), planted, _mark(lead))
            self._held[lead_id] = held
            self._fresh.setdefault(client_id, []).append(lead_id)
        return held

    def change(self, lead_id: str, changes: Lead) -> StoredLead | None:
        """Overwrite some fields of a lead; None when there is none of that id."""
        with self._lock:
            if (old := self._held.get(lead_id)) is None:
                return None
            kept = {**old.lead(), **changes, "client_id": old.client_id}
            body = _body(old.id, kept)
            new = replace(old, body=body, mark=_mark(kept))
            self._held[lead_id] = new
        return new

    def mark_deleted(self, lead_id: str, by: str) -> bool:
        """Leave a lead where it is, as one to be deleted; False when there is none in use."""
        held = self._held.get(lead_id)
        if held is None or held.mark == DELETED:
            return False
        marks = {"status": DELETED, "deletedAt": datetime.now(UTC).isoformat(), "deletedBy": by}
        return self.change(lead_id, marks) is not None

    def remove(self, lead_id: str) -> bool:
        """Take a lead off the shelf; False when there is none of that id."""
        with self._lock:
            if (held := self._held.pop(lead_id, None)) is None:
                return False
            self._sorted(held.client_id).remove(lead_id)
        return True

    def get(self, lead_id: str) -> StoredLead | None:
        """The lead of that id, read lag or not."""
        return self._held.get(lead_id)

    def all(self) -> list[StoredLead]:
        """Every lead of every client, in the order of saving."""
        with self._lock:
            return list(self._held.values())

    def of(self, client_id: str) -> list[StoredLead]:
        """Every lead kept under that name, read lag or not, in the order of listings."""
        with self._lock:
            return [self._held[lead_id] for lead_id in self._sorted(client_id)]

    def find(self, client_id: str | None, field: str, value: str) -> StoredLead | None:
        """A visible lead whose field has exactly that value, of one client or of any."""
        text = json.dumps(value).encode()  # spares reading a million leads to find one
        for held in self.all():
            mine = client_id is None or held.client_id == client_id
            if mine and text in held.body and self.shows(held) and held.lead().get(field) == value:
                return held
        return None

    def page(self, client_id: str, after: str, limit: int) -> LeadListing:
        """The visible leads that follow the id `after`, at most `limit`."""
        with self._lock:
            leads: list[StoredLead] = []
            for held in self._following(client_id, after):
                if len(leads) == limit:
                    return LeadListing(leads, more=True)
                leads.append(held)
        return LeadListing(leads, more=False)

    def _following(self, client_id: str, after: str) -> Iterator[StoredLead]:
        ids = self._sorted(client_id)
        for position in range(bisect_right(ids, after), len(ids)):
            held = self._held[ids[position]]
            if self.shows(held):
                yield held

    def _sorted(self, client_id: str) -> list[str]:
        # Listings go by id, and ids have nothing to do with time: a lead saved while somebody lists
        # may land behind the cursor and stay unseen, as it may behind DynamoDB's.
        fresh = self._fresh.pop(client_id, [])
        ids = self._ids.setdefault(client_id, [])
        if len(fresh) > _FEW:
            ids += fresh
            ids.sort()
        else:
            for lead_id in fresh:
                insort(ids, lead_id)
        return ids

    def is_hidden(self, held: StoredLead) -> bool:
        """Whether this lead was deleted and is kept without being shown."""
        return self.hides_deleted and held.mark == DELETED

    def shows(self, held: StoredLead) -> bool:
        """Whether readers see this lead by now."""
        if self.is_hidden(held):
            return False
        return self._lag <= 0 or held.planted or time.monotonic() - held.saved_at >= self._lag

    def _new_id(self) -> str:
        if self._given:
            return self._given.pop(0)
        number = f"{self._seed}/lead/{self._saved}".encode()
        return str(UUID(bytes=blake2b(number, digest_size=16).digest(), version=4))


def _mark(lead: Lead) -> str:
    status = lead.get("status")
    return status if isinstance(status, str) and status in _OUT_OF_USE else ""


def _body(lead_id: str, lead: dict[str, Any]) -> bytes:
    own = {"id": lead_id, "createdAt": lead.get("createdAt") or datetime.now(UTC).isoformat()}
    return json.dumps({**lead, **own}).encode()  # id last: what was posted cannot forge it
