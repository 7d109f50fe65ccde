"""
Send attempts: the intent before a send, the outcome after it, and the doubt in between.

An attempt is committed before the first byte of its send leaves. A contact has at most one attempt
without an outcome; `schema.sql` enforces that.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from migrator.hold_details import Detail, HoldDetail
from migrator.ledger.database import Database, now_ms
from migrator.ledger.holds import Holds
from migrator.states import Hold, Outcome

# A contact is held after so many failed attempts. One that was in doubt costs a whole `settle`, and
# a contact that the service cannot process (a 500 may be a refusal, guide bugs 3, 4, 6) must end.
MAX_ATTEMPTS = 5


@dataclass(frozen=True)
class ContactToSend:
    """A contact that may be sent; `lead` is without the client_id."""

    key: int
    hubspot_id: str
    lead: Mapping[str, Any]


@dataclass(frozen=True)
class AttemptStart:
    """A send attempt: contact key, attempt number, SHA-256 of the body."""

    key: int
    number: int
    payload_hash: str


@dataclass(frozen=True)
class AttemptResult:
    """
    The result of a send.

    Args:
        key: The contact.
        outcome: `None` = in doubt.
        status: HTTP; `None` = no answer.
        answer: Excerpt for people; `None` = nothing worth keeping.
        lead_id: LeadGenius's id, with the outcomes that have a lead.
        is_failure: Whether the attempt failed; `blame` records whether it counts.
        detail: Why an absent contact is held; `None` = it is not.
    """

    key: int
    outcome: Outcome | None
    status: int | None = None
    answer: str | None = None
    lead_id: str | None = None
    is_failure: bool = False
    detail: Detail | None = None


@dataclass
class HoldsChanged:
    """
    Contacts that a change has held or freed.

    Args:
        held: Key -> the reason.
        freed: Keys of contacts that were given up and are tried once more.
    """

    held: dict[int, Hold] = field(default_factory=dict)
    freed: list[int] = field(default_factory=list)

    def add(self, other: "HoldsChanged") -> None:
        """Add later changes."""
        self.freed += other.freed
        self.held |= other.held


@dataclass(frozen=True)
class Doubt:
    """
    An open attempt, with what identifies its lead at the destination (design, I4).

    Args:
        foreign_lead_id: Id of an earlier lead with its e-mail that is not ours.
        former: Ids of leads that were its own before this attempt, or that carried its line and
            were marked as deleted.
    """

    key: int
    hubspot_id: str
    email_key: str
    foreign_lead_id: str | None
    former: frozenset[str] = frozenset()


class Attempts:
    """Queries and changes of send attempts."""

    def __init__(self, database: Database, holds: Holds) -> None:
        self._database = database
        self._holds = holds

    def untried(self, limit: int) -> list[ContactToSend]:
        """The next sendable contacts without a failed attempt, in HubSpot's order."""
        return self._database.read(
            ContactToSend, f"{_UNTRIED} ORDER BY key LIMIT :limit", limit=limit
        )

    def untried_at(self, place: float) -> ContactToSend | None:
        """An untried contact at a place (0 to 1) between the first and the last of them."""
        found = self._database.read(
            ContactToSend,
            f"{_UNTRIED} AND key >= (SELECT min(key) {_OF_UNTRIED}) + CAST(:place * "
            f"((SELECT max(key) {_OF_UNTRIED}) - (SELECT min(key) {_OF_UNTRIED})) AS INTEGER) "
            "ORDER BY key LIMIT 1",
            place=place,
        )
        return found[0] if found else None

    def tried(self) -> list[int]:
        """The keys of all sendable contacts with a failed attempt, those with the fewest first."""
        rows = self._database.rows(
            "SELECT key FROM sendable_contact WHERE tries > 0 ORDER BY tries, key"
        )
        return [row.key for row in rows]

    def sendable(self, keys: Sequence[int]) -> list[ContactToSend]:
        """Those of these contacts that may be sent, in their order."""
        return self._database.read(
            ContactToSend,
            "SELECT contact.key, hubspot_id, lead FROM json_each(:keys) AS asked "
            "JOIN sendable_contact AS contact ON contact.key = value ORDER BY asked.key",
            keys=json.dumps(list(keys)),
        )

    def to_send(self, after: int, limit: int) -> list[ContactToSend]:
        """The next sendable contacts after a key, in HubSpot's order."""
        return self._database.read(
            ContactToSend,
            # The index has the untried in this order; the others are few, and found by it too.
            f"{_NEXT_TO_SEND} AND tries = 0 UNION ALL {_NEXT_TO_SEND} AND key IN "
            "(SELECT key FROM sendable_contact WHERE tries > 0) ORDER BY key LIMIT :limit",
            after=after,
            limit=limit,
        )

    def has_taken(self) -> bool:
        """Whether LeadGenius has ever accepted a lead of this ledger."""
        found = self._database.one("SELECT 1 FROM contact WHERE lead_id IS NOT NULL LIMIT 1")
        return found is not None

    def record_intents(
        self, run_id: int, payload_hashes: Sequence[tuple[int, str]]
    ) -> list[AttemptStart]:
        """
        Record the intent to send these contacts, to be committed before anything leaves (I1).

        Args:
            run_id: The run that sends.
            payload_hashes: (contact key, SHA-256 of the body) of each.
        """
        with self._database.transaction():
            numbers = self._next([key for key, _ in payload_hashes])
            intents = [
                AttemptStart(key, numbers.get(key, 1), digest) for key, digest in payload_hashes
            ]
            self._database.execute(
                "INSERT INTO attempt (contact_key, number, run_id, payload_hash, taken) "
                "VALUES (:key, :number, :run_id, :payload_hash, (SELECT taken FROM ledger))",
                [{**vars(intent), "run_id": run_id} for intent in intents],
            )
            self._count(len(intents))
        return intents

    def _count(self, intents: int) -> None:
        """Keep the number of intents, also in the lock file: an older copy has fewer."""
        if intents:
            row = self._database.run(
                "UPDATE ledger SET intents = intents + :new RETURNING intents", {"new": intents}
            ).one()
            self._database.set_intent_count(row.intents)

    def _next(self, keys: Sequence[int]) -> dict[int, int]:
        """The number of the next attempt of each of these contacts that had one."""
        rows = self._database.rows(
            "SELECT contact_key, max(number) + 1 AS number FROM attempt "
            f"WHERE contact_key IN {_LISTED} GROUP BY contact_key",
            keys=json.dumps(keys),
        )
        return {row.contact_key: row.number for row in rows}

    def record_results(self, endings: Sequence[AttemptResult]) -> HoldsChanged:
        """
        Record the results of sends, and move or hold their contacts accordingly.

        A result of a settled attempt changes nothing: a listing may have shown the lead before the
        answer came. Of two results of one attempt the first counts.
        """
        changed = HoldsChanged()
        with self._database.transaction():
            is_open = self._open_among([ending.key for ending in endings])
            left: list[AttemptResult] = []
            settled: dict[int, AttemptResult] = {}
            for ending in endings:
                if ending.key in is_open and ending.outcome is None:
                    left.append(ending)
                elif ending.key in is_open:
                    settled.setdefault(ending.key, ending)
            self._try_in_vain([one for one in (*left, *settled.values()) if one.is_failure])
            self._leave_open(left)
            self._settle(list(settled.values()), changed)
        return changed

    def _try_in_vain(self, endings: Sequence[AttemptResult]) -> None:
        self._database.execute(
            "UPDATE contact SET tries = tries + 1 WHERE key = :key",
            [{"key": ending.key} for ending in endings],
        )

    def blame(self, keys: Sequence[int]) -> HoldsChanged:
        """
        Count the last attempt of these contacts: the service works, so the failure is theirs.

        A contact with `MAX_ATTEMPTS` counted attempts is held, or, if it is in doubt, once that is
        settled.
        """
        changed = HoldsChanged()
        with self._database.transaction():
            self._database.execute(
                "UPDATE attempt SET counts = 1 WHERE contact_key = :key AND number = "
                "(SELECT max(number) FROM attempt WHERE contact_key = :key)",
                [{"key": key} for key in keys],
            )
            is_open = self._open_among(keys)
            for key in keys:
                if key not in is_open:
                    self._give_up_after_the_last(key, changed)
        return changed

    def pardon(self, keys: Sequence[int]) -> None:
        """
        Take back one try of each contact: the failure was not about the contact.

        A contact that was held as refused is freed.
        """
        with self._database.transaction():
            self._database.execute(
                "UPDATE contact SET tries = tries - 1 WHERE key = :key AND tries > 0",
                [{"key": key} for key in keys],
            )
            for row in self._database.rows(_REFUSED_AMONG, keys=json.dumps(list(keys))):
                self._holds.free(row.key)

    def _open_among(self, keys: Sequence[int]) -> set[int]:
        """Those of these contacts that have an open attempt."""
        if not keys:
            return set()
        rows = self._database.rows(
            f"SELECT contact_key FROM open_attempt WHERE contact_key IN {_LISTED}",
            keys=json.dumps(keys),
        )
        return {row.contact_key for row in rows}

    def _leave_open(self, endings: Sequence[AttemptResult]) -> None:
        self._database.execute(
            "UPDATE attempt SET ended_ms = :now, status = :status, answer = :answer "
            "WHERE contact_key = :key AND outcome IS NULL",
            [{**vars(ending), "now": now_ms()} for ending in endings],
        )

    def _settle(self, endings: Sequence[AttemptResult], changed: HoldsChanged) -> None:
        self._database.execute(
            "UPDATE attempt SET outcome = :outcome, settled_ms = :now, lead_id = :lead_id, "
            "ended_ms = ifnull(ended_ms, :now), status = ifnull(:status, status), "
            "answer = ifnull(:answer, answer) WHERE contact_key = :key AND outcome IS NULL",
            [{**vars(ending), "now": now_ms()} for ending in endings],
        )
        self._follow_leads([one for one in endings if one.outcome in _WITH_A_LEAD], changed)
        for ending in endings:
            if ending.outcome is Outcome.REFUSED:
                detail = ending.answer or HoldDetail.STATUS.of(status=ending.status)
                self._hold(ending.key, Hold.REFUSED, detail, changed)
            elif ending.outcome is Outcome.ABSENT:
                self._follow_absent(ending, changed)

    def _hold(self, key: int, hold: Hold, detail: Detail, changed: HoldsChanged) -> None:
        if self._holds.hold(key, hold, detail):
            changed.held[key] = hold

    def _follow_leads(self, endings: Sequence[AttemptResult], changed: HoldsChanged) -> None:
        """Move contacts whose leads exist to posted, except where the lead is another contact's."""
        if not endings:
            return
        taken = self._taken([ending.lead_id for ending in endings])
        moves: list[AttemptResult] = []
        others: list[AttemptResult] = []
        for ending in endings:
            (others if ending.lead_id in taken else moves).append(ending)
            taken.add(ending.lead_id)
        self._database.execute(
            "UPDATE contact SET state = 'posted', lead_id = :lead_id "
            "WHERE key = :key AND state = 'mapped'",
            [vars(ending) for ending in moves],
        )
        for ending in others:
            # Leads were merged in LeadGenius, or the service answered with an older one.
            owner = self._owner(ending.lead_id)
            detail = HoldDetail.OWNED.of(lead=ending.lead_id, contact=owner)
            self._hold(ending.key, Hold.ALREADY_IN_DESTINATION, detail, changed)
        self._database.run("UPDATE ledger SET taken = taken + :n", {"n": len(endings)})
        self._try_once_more(changed)

    def _try_once_more(self, changed: HoldsChanged) -> None:
        """Free contacts that were given up while LeadGenius accepted no leads: now it does."""
        for row in self._database.rows("SELECT key FROM contact WHERE unproven = 1"):
            self._holds.free(row.key)
            changed.freed.append(row.key)

    def _taken(self, lead_ids: Sequence[str | None]) -> set[str | None]:
        """Those of these leads that already belong to a contact."""
        if not lead_ids:
            return set()
        rows = self._database.rows(
            f"SELECT lead_id FROM contact WHERE lead_id IN {_LISTED}", keys=json.dumps(lead_ids)
        )
        return {row.lead_id for row in rows}

    def _follow_absent(self, ending: AttemptResult, changed: HoldsChanged) -> None:
        key = ending.key
        if ending.detail is not None:
            self._hold(key, Hold.GAVE_UP, ending.detail, changed)
            return
        # The mapping may have changed while the contact was in doubt and could not be mapped again.
        if not self._holds.discard_mapping(key) and not self._holds.hold_if_duplicate(key):
            self._give_up_after_the_last(key, changed)

    def _owner(self, lead_id: str | None) -> str:
        row = self._database.one(
            "SELECT hubspot_id FROM contact WHERE lead_id = :lead_id", lead_id=lead_id
        )
        return str(row.hubspot_id)

    def _give_up_after_the_last(self, key: int, changed: HoldsChanged) -> None:
        row = self._database.one(_TRIED, key=key)
        if row.tried < MAX_ATTEMPTS:
            return
        if row.has_said_why:
            self._hold(key, Hold.REFUSED, row.answer, changed)
        else:
            detail = HoldDetail.NO_LEAD.of(attempts=row.tried, status=row.status)
            self._hold(key, Hold.GAVE_UP, detail, changed)
        if row.had_taken == row.has_taken:
            self._database.run("UPDATE contact SET unproven = 1 WHERE key = :key", {"key": key})

    def in_doubt(self) -> list[Doubt]:
        """All open attempts; when no process is sending, all are in doubt."""
        return self._database.read(
            Doubt,
            "SELECT key, hubspot_id, email_key, foreign_lead_id, (SELECT json_group_array(lead_id) "
            "FROM former_lead WHERE contact_key = key) FROM open_attempt "
            "JOIN contact ON contact.key = contact_key ORDER BY contact_key",
        )

    def canary_leads(self, limit: int) -> dict[str, str]:
        """Some leads that sends created and that are not missing: lead id -> HubSpot's id."""
        rows = self._database.rows(
            "SELECT contact.lead_id, hubspot_id FROM attempt JOIN contact ON key = contact_key "
            "WHERE outcome IN ('created', 'found') AND contact.lead_id IS NOT NULL "
            "AND held IS NOT 'missing' LIMIT :limit",
            limit=limit,
        )
        return {row.lead_id: row.hubspot_id for row in rows}


_WITH_A_LEAD = (Outcome.CREATED, Outcome.FOUND)
# One query for all results of a commit.
_LISTED = "(SELECT value FROM json_each(:keys))"

_REFUSED_AMONG = f"SELECT key FROM contact WHERE held = 'refused' AND key IN {_LISTED}"
_UNTRIED = "SELECT key, hubspot_id, lead FROM sendable_contact WHERE tries = 0"
_OF_UNTRIED = "FROM contact WHERE state = 'mapped' AND held IS NULL AND tries = 0"
_NEXT_TO_SEND = "SELECT key, hubspot_id, lead FROM sendable_contact WHERE key > :after"

# With max(number), SQLite takes status and answer from the row of that maximum. LeadGenius answers
# with a JSON object; a proxy's page says nothing about the contact.
_TRIED = (
    "SELECT count(*) AS tried, max(number) AS last, status, answer, "
    "status BETWEEN 400 AND 499 AND answer LIKE '{%' AS has_said_why, "
    "(SELECT min(taken) FROM attempt AS first WHERE first.contact_key = :key "
    "AND first.number > attempts_reset_at AND first.counts = 1) AS had_taken, taken AS has_taken "
    "FROM attempt JOIN contact ON contact.key = contact_key "
    "WHERE contact_key = :key AND number > attempts_reset_at AND counts = 1 "
    "AND outcome IN ('denied', 'absent')"
)
