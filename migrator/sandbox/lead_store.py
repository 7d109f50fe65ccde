"""
The leads that LeadGenius holds, and the order in which it lists them.

They are stored as bytes of JSON, so that a million fit in memory. Duplicates are kept.
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

# Inserting up to this many is faster than sorting a million.
_FEW = 100

# Statuses of leads that are stored, but not in use.
DELETED = "to_be_deleted"
_OUT_OF_USE = (DELETED, "duplicate")


@dataclass(frozen=True, slots=True)
class StoredLead:
    """
    A stored lead.

    Args:
        body: JSON of the posted lead with the `id` and `createdAt` of the service.
        saved_at: Monotonic clock, seconds.
        planted: Added by a test or a user, not by a request.
        mark: The status of a lead that is not in use; empty for all others.
    """

    id: str
    client_id: str
    body: bytes
    saved_at: float
    planted: bool = False
    mark: str = ""

    def lead(self) -> Lead:
        """The parsed lead."""
        lead: Lead = json.loads(self.body)
        return lead


@dataclass(frozen=True, slots=True)
class LeadListing:
    """A page of a listing; `more` = another page follows."""

    leads: list[StoredLead]
    more: bool


class LeadStore:
    """
    All leads of all clients.

    Args:
        read_lag_seconds: How long a saved lead stays invisible to reads.
    """

    def __init__(self, seed: int, read_lag_seconds: float) -> None:
        self.hides_deleted = False
        self._seed = seed
        self._lag = read_lag_seconds
        self._lock = threading.Lock()
        self._held: dict[str, StoredLead] = {}
        self._ids: dict[str, list[str]] = {}  # by client, sorted
        self._fresh: dict[str, list[str]] = {}  # by client, not in `_ids` yet
        self._saved = 0
        self._given: list[str] = []

    def give_ids(self, ids: Iterable[str]) -> None:
        """Use these ids for the next leads."""
        with self._lock:
            self._given.extend(ids)

    def put(self, lead: Lead, planted: bool = False) -> StoredLead:
        """Store a lead under its `client_id`, whether such a client exists or not."""
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
        """Change some fields of a lead; None = it does not exist."""
        with self._lock:
            if (old := self._held.get(lead_id)) is None:
                return None
            kept = {**old.lead(), **changes, "client_id": old.client_id}
            body = _body(old.id, kept)
            new = replace(old, body=body, mark=_mark(kept))
            self._held[lead_id] = new
        return new

    def mark_deleted(self, lead_id: str, by: str) -> bool:
        """Mark a lead as deleted; False = it does not exist, or is marked already."""
        held = self._held.get(lead_id)
        if held is None or held.mark == DELETED:
            return False
        marks = {"status": DELETED, "deletedAt": datetime.now(UTC).isoformat(), "deletedBy": by}
        return self.change(lead_id, marks) is not None

    def remove(self, lead_id: str) -> bool:
        """Remove a lead; False = it does not exist."""
        with self._lock:
            if (held := self._held.pop(lead_id, None)) is None:
                return False
            self._sorted(held.client_id).remove(lead_id)
        return True

    def get(self, lead_id: str) -> StoredLead | None:
        """The lead of that id, whether visible or not."""
        return self._held.get(lead_id)

    def all(self) -> list[StoredLead]:
        """All leads of all clients, in the order of saving."""
        with self._lock:
            return list(self._held.values())

    def of(self, client_id: str) -> list[StoredLead]:
        """All leads of a client, whether visible or not, in the order of listings."""
        with self._lock:
            return [self._held[lead_id] for lead_id in self._sorted(client_id)]

    def find(self, client_id: str | None, field: str, value: str) -> StoredLead | None:
        """A visible lead with exactly this value, of a client or of any client."""
        text = json.dumps(value).encode()  # avoids parsing a million leads
        for held in self.all():
            mine = client_id is None or held.client_id == client_id
            if mine and text in held.body and self.shows(held) and held.lead().get(field) == value:
                return held
        return None

    def page(self, client_id: str, after: str, limit: int) -> LeadListing:
        """Up to `limit` visible leads that follow the id `after`."""
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
        # Listings are ordered by id, which does not depend on time: a lead saved during a listing
        # may be placed before the cursor and not be seen, as with DynamoDB.
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
        """Whether this lead is marked as deleted and hidden from reads."""
        return self.hides_deleted and held.mark == DELETED

    def shows(self, held: StoredLead) -> bool:
        """Whether reads show this lead now."""
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
    return json.dumps({**lead, **own}).encode()  # id last: a posted id does not replace it
