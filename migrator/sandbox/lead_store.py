"""
The leads that LeadGenius holds, and the order in which it lists them.

They are stored as bytes of JSON, so that a million fit in memory. Duplicates are kept. Reads may
lag: until the lag is over, they show the version before a change, and a deleted lead as it was.
"""

import json
import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

from migrator.sandbox.lead_history import TOOL, Author, RecordedChange
from migrator.sandbox.messages import Lead

# Inserting up to this many is faster than sorting a million.
_FEW = 100

# Statuses of leads that are stored, but not in use.
DELETED = "to_be_deleted"
_OUT_OF_USE = (DELETED, "duplicate")


@dataclass(frozen=True, slots=True)
class StoredLead:
    """
    A version of a stored lead.

    Args:
        body: JSON of the posted lead with the `id` and `createdAt` of the service; empty in the
            version that follows a deletion.
        saved_at: Monotonic clock, seconds.
        planted: Added by a test or a user, not by a request.
        mark: The status of a lead that is not in use; empty for all others.
        former: The version that reads may still show; None = there is none.
    """

    id: str
    client_id: str
    body: bytes
    saved_at: float
    planted: bool = False
    mark: str = ""
    former: "StoredLead | None" = None

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
    All leads of all clients, and their history.

    Args:
        read_lag_seconds: How long reads do not show a write yet; what a person added is shown at
            once.
        ghost_seconds: How long reads go on showing a deleted lead; None = `read_lag_seconds`.
        has_history: Whether the history is kept, and when each lead was served.
    """

    def __init__(
        self,
        seed: int,
        read_lag_seconds: float,
        ghost_seconds: float | None = None,
        *,
        has_history: bool = True,
    ) -> None:
        self._has_history = has_history
        self.hides_deleted = False
        self._seed = seed
        self._lag = read_lag_seconds
        self._ghost_seconds = ghost_seconds
        self._lock = threading.Lock()
        self._held: dict[str, StoredLead] = {}
        self._gone: dict[str, StoredLead] = {}  # deleted, and perhaps still shown
        self._leaving: list[tuple[float, str, str]] = []  # when an id leaves a client's listing
        self._ids: dict[str, list[str]] = {}  # by client, sorted
        self._fresh: dict[str, list[str]] = {}  # by client, not in `_ids` yet
        self._saved = 0
        self._given: list[str] = []
        self._history: list[RecordedChange] = []
        self._looks: dict[str, float] = {}

    # Writes

    def give_ids(self, ids: Iterable[str]) -> None:
        """Use these ids for the next leads."""
        with self._lock:
            self._given.extend(ids)

    def put(self, lead: Lead, by: Author = TOOL) -> StoredLead:
        """Store a lead under its `client_id`, whether such a client exists or not."""
        with self._lock:
            self._saved += 1
            lead_id = self._new_id()
            client_id, body = str(lead["client_id"]), _body(lead_id, lead)
            planted = by.name != TOOL.name
            new = StoredLead(lead_id, client_id, body, time.monotonic(), planted, _mark(lead))
            self._store("create", by, None, new)
        return new

    def change(self, lead_id: str, changes: Lead, by: Author = TOOL) -> StoredLead | None:
        """Change some fields of a lead, but not its client; None = it does not exist."""
        return self.rewrite(
            lead_id, lambda lead: {**lead, **changes, "client_id": lead["client_id"]}, by
        )

    def rewrite(
        self, lead_id: str, rule: Callable[[Lead], Lead], by: Author, kind: str = "change"
    ) -> StoredLead | None:
        """Replace a lead by what `rule` makes of it; None = it does not exist."""
        with self._lock:
            if (old := self._held.get(lead_id)) is None:
                return None
            lead = rule(old.lead())
            new = replace(self._next(old), body=_body(lead_id, lead), mark=_mark(lead))
            new = replace(new, client_id=str(lead["client_id"]))
            self._store(kind, by, old, new)
        return new

    def mark_deleted(self, lead_id: str, by: Author, user: str) -> bool:
        """Mark a lead as deleted; False = it does not exist, or is marked already."""
        held = self._held.get(lead_id)
        if held is None or held.mark == DELETED:
            return False
        marks = {"status": DELETED, "deletedAt": datetime.now(UTC).isoformat(), "deletedBy": user}
        return self.rewrite(lead_id, lambda lead: {**lead, **marks}, by, "delete") is not None

    def remove(self, lead_id: str, by: Author = TOOL) -> bool:
        """Remove a lead; False = it does not exist."""
        with self._lock:
            if (old := self._held.pop(lead_id, None)) is None:
                return False
            self._gone[lead_id] = new = replace(self._next(old), body=b"")
            self._record("delete", by, old, new)
            self._leave(old.client_id, new)
        return True

    def restore(self, lead_id: str, by: Author) -> bool:
        """Restore a deleted or marked lead under its id; False = it was not deleted."""
        past = [one for one in self.history() if one.lead_id == lead_id]
        if not past or past[-1].kind != "delete" or (before := past[-1].before) is None:
            return False
        lead = json.loads(before)
        with self._lock:
            old, gone = self._held.get(lead_id), self._gone.pop(lead_id, None)
            client_id, planted = str(lead["client_id"]), not past[0].is_of_tool
            now, mark = time.monotonic(), _mark(lead)
            new = StoredLead(lead_id, client_id, before, now, planted, mark, old or gone)
            self._store("restore", by, old, new)
        return True

    def _next(self, old: StoredLead) -> StoredLead:
        """The version after `old`; it refers to those that reads may still show."""
        if self._lag <= 0 and not self._ghost_seconds:
            return replace(old, saved_at=time.monotonic(), former=None)
        if self._shown(old) is old:
            old = replace(old, former=None)
        return replace(old, saved_at=time.monotonic(), former=old)

    def _store(self, kind: str, by: Author, old: StoredLead | None, new: StoredLead) -> None:
        self._held[new.id] = new
        if old is None or old.client_id != new.client_id:
            self._fresh.setdefault(new.client_id, []).append(new.id)
        self._record(kind, by, old, new)
        if old is not None and old.client_id != new.client_id:
            self._leave(old.client_id, new)

    def _record(self, kind: str, by: Author, old: StoredLead | None, new: StoredLead) -> None:
        if not self._has_history:
            return
        before, after = old.body if old else None, new.body or None
        visible = new.saved_at + self._lag_of(new)
        change = RecordedChange(time.time(), new.saved_at, visible, new.id, kind, by, before, after)
        self._history.append(change)

    def _leave(self, client_id: str, new: StoredLead) -> None:
        self._leaving.append((new.saved_at + self._lag_of(new), client_id, new.id))
        self._strike_out()

    def _strike_out(self) -> None:
        """Take the ids out of the listings that no longer show them."""
        now = time.monotonic()
        due = [one for one in self._leaving if one[0] <= now]
        if not due:
            return
        self._leaving = [one for one in self._leaving if one[0] > now]
        for _, client_id, lead_id in due:
            held = self._held.get(lead_id)
            if held is None:
                self._gone.pop(lead_id, None)
            elif held.client_id == client_id:
                continue  # it is back
            ids = self._sorted(client_id)
            if _has(ids, lead_id):
                del ids[bisect_left(ids, lead_id)]

    # Reads

    def history(self) -> list[RecordedChange]:
        """A copy of the history, in the order in which the changes took effect."""
        with self._lock:
            return self._history.copy()

    def note_look(self, leads: Iterable[StoredLead]) -> None:
        """Note that these leads are served now."""
        if self._has_history:
            self._looks.update(dict.fromkeys([held.id for held in leads], time.monotonic()))

    def author(self, request: int, lead_id: str | None = None) -> Author:
        """The author of a write that a request asks for now."""
        looked = self._looks.get(lead_id) if lead_id is not None else None
        return Author(TOOL.name, request, time.monotonic(), looked)

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
            held = [self._held.get(lead_id) for lead_id in self._sorted(client_id)]
        return [one for one in held if one is not None and one.client_id == client_id]

    def find(self, client_id: str | None, field: str, value: str) -> StoredLead | None:
        """A visible lead with exactly this value, of a client or of any client."""
        text = json.dumps(value).encode()  # avoids parsing a million leads
        with self._lock:
            held = [*self._held.values(), *self._gone.values()]
        if self._lag <= 0 and not self._ghost_seconds:
            held = [one for one in held if text in one.body]
        for one in filter(None, map(self._shown, held)):
            mine = client_id is None or one.client_id == client_id
            if mine and text in one.body and one.lead().get(field) == value:
                return one
        return None

    def shown(self, lead_id: str) -> StoredLead | None:
        """The lead of that id as reads show it now, also a hidden one; None = they show none."""
        with self._lock:
            newest = self._held.get(lead_id) or self._gone.get(lead_id)
            return None if newest is None else self._shown(newest, with_deleted=True)

    def count(self, client_id: str, with_deleted: bool = False) -> int:
        """How many leads a complete listing shows."""
        with self._lock:
            return sum(1 for _ in self._following(client_id, "", with_deleted))

    def page(
        self, client_id: str, after: str, limit: int, with_deleted: bool = False
    ) -> LeadListing:
        """Up to `limit` visible leads that follow the id `after`, or also the hidden ones."""
        with self._lock:
            self._strike_out()
            leads: list[StoredLead] = []
            for held in self._following(client_id, after, with_deleted):
                if len(leads) == limit:
                    return LeadListing(leads, more=True)
                leads.append(held)
        return LeadListing(leads, more=False)

    def _following(self, client_id: str, after: str, with_deleted: bool) -> Iterator[StoredLead]:
        ids = self._sorted(client_id)
        for position in range(bisect_right(ids, after), len(ids)):
            lead_id = ids[position]
            newest = self._held.get(lead_id) or self._gone.get(lead_id)
            shown = self._shown(newest, with_deleted) if newest is not None else None
            if shown is not None and shown.client_id == client_id:
                yield shown

    def _sorted(self, client_id: str) -> list[str]:
        # Listings are ordered by id, which does not depend on time: a lead saved during a listing
        # may be placed before the cursor and not be seen, as with DynamoDB.
        fresh = self._fresh.pop(client_id, [])
        ids = self._ids.setdefault(client_id, [])
        # A lead that is back may not have left yet.
        if len(fresh) > _FEW:
            ids[:] = sorted({*ids, *fresh})
        else:
            for lead_id in fresh:
                if not _has(ids, lead_id):
                    insort(ids, lead_id)
        return ids

    def is_hidden(self, held: StoredLead) -> bool:
        """Whether this lead is marked as deleted and hidden from reads."""
        return self.hides_deleted and held.mark == DELETED

    def _shown(self, newest: StoredLead, with_deleted: bool = False) -> StoredLead | None:
        """The version of a lead that reads show now; None = none."""
        shown: StoredLead | None = newest
        if self._lag > 0 or self._ghost_seconds:
            now = time.monotonic()
            while shown is not None and now - shown.saved_at < self._lag_of(shown):
                shown = shown.former
        if shown is None or not shown.body or (self.is_hidden(shown) and not with_deleted):
            return None
        return shown

    def _lag_of(self, version: StoredLead) -> float:
        is_deletion = not version.body or version.mark == DELETED
        if is_deletion and self._ghost_seconds is not None:
            return self._ghost_seconds
        is_planted = version.planted and version.former is None and bool(version.body)
        return 0.0 if is_planted else self._lag

    def _new_id(self) -> str:
        if self._given:
            return self._given.pop(0)
        number = f"{self._seed}/lead/{self._saved}".encode()
        return str(UUID(bytes=blake2b(number, digest_size=16).digest(), version=4))


def _has(ids: list[str], lead_id: str) -> bool:
    position = bisect_left(ids, lead_id)
    return position < len(ids) and ids[position] == lead_id


def _mark(lead: Lead) -> str:
    status = lead.get("status")
    return status if isinstance(status, str) and status in _OUT_OF_USE else ""


def _body(lead_id: str, lead: dict[str, Any]) -> bytes:
    own = {"id": lead_id, "createdAt": lead.get("createdAt") or datetime.now(UTC).isoformat()}
    return json.dumps({**lead, **own}).encode()  # id last: a posted id does not replace it
