"""
The leads that a verification's listings showed, and what follows for each contact.

Most leads are listed as they were sent: their contacts are only marked, in memory, because the next
verification lists everything again. What a page shows of other leads is stored with the page.
Conclusions are drawn from both once a listing is complete. Notes are read and fields compared
elsewhere.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from migrator.counters import VerifyCounters
from migrator.ledger.database import Database
from migrator.ledger.holds import IS_CERTAIN, IS_FORMER, count_held
from migrator.ledger.lead_owners import MatchedContact, owners, owners_by_id
from migrator.ledger.reconcile import LeadIdentity
from migrator.ledger.runs import Runs
from migrator.states import Hold, State

CONCLUDED_AT_ONCE = 5_000
MOST_LEADS_NAMED = 20  # of one contact


@dataclass(frozen=True)
class SeenLead:
    """
    A listed lead that is one of ours, and not as it was sent (see `schema.sql`).

    Args:
        key: The contact; `None` = its record line names one that is not in this ledger.
        record: HubSpot's id on its record line; `None` = it has no line of our portal.
        differs, lacks: Names of fields, separated by commas; `None` = none.
        edits: Whether these differences are people's edits since it was verified.
        there: JSON: the listed text of each field in `differs`; `None` = none.
    """

    lead_id: str
    key: int | None
    record: str | None = None
    removed: bool = False
    differs: str | None = None
    lacks: str | None = None
    edits: bool = False
    there: str | None = None


@dataclass(frozen=True)
class DuplicateLeads:
    """
    A contact with more than one lead at the destination.

    Args:
        keep: The contact's lead in the ledger.
        lead_ids: All of them, that one first; at most `MOST_LEADS_NAMED` others.
    """

    hubspot_id: str
    keep: str
    lead_ids: str


@dataclass(frozen=True)
class UnclaimedLead:
    """
    A lead of a contact that has none in this ledger.

    Args:
        is_certain: Whether its record line or its id matched; `False` = only its e-mail.
        is_forgotten: Whether `forget` took the person out of the ledger.
    """

    hubspot_id: str
    lead_id: str
    state: State
    held: Hold | None
    is_certain: bool
    is_forgotten: bool = False


@dataclass(frozen=True)
class UnknownLead:
    """A lead whose record line names a contact of our portal that is not in this ledger."""

    hubspot_id: str
    lead_id: str


class Verification:
    """Queries and changes of a verification."""

    def __init__(self, database: Database, runs: Runs) -> None:
        self._database = database
        self._runs = runs
        self._as_sent = bytearray()  # by key: 1 = the contact's own lead was listed as it was sent

    # While it lists

    def begin(self, *, again: bool = False) -> None:
        """Begin a listing; unless it is a second one (`again`), drop the leads seen before."""
        with self._database.transaction():
            if not again:
                self._database.run("DELETE FROM seen_lead")
                self._as_sent = bytearray(self._last_key() + 1)
            self._runs.begin_scan("verification")

    def owners_by_id(self, lead_ids: Sequence[str]) -> dict[str, MatchedContact]:
        """See `lead_owners`."""
        return owners_by_id(self._database, lead_ids)

    def owners(self, page: Sequence[LeadIdentity]) -> dict[str, MatchedContact]:
        """See `lead_owners`."""
        return owners(self._database, page)

    def write_sightings(
        self, sightings: Sequence[SeenLead], cursor: str | None, as_sent: Sequence[int] = ()
    ) -> None:
        """
        Note the leads of a page, and store the next cursor with them; the last sighting counts.

        Args:
            as_sent: Keys of the contacts whose own lead the page shows as it was sent.
        """
        with self._database.transaction():
            for key in as_sent:
                self._as_sent[key] = 1
            self._database.run(_FORGET_SIGHTINGS, {"keys": json.dumps(as_sent)})
            self._unmark(sightings)
            self._database.execute(
                f"{_WRITE_SIGHTING} ON CONFLICT DO UPDATE SET contact_key = excluded.contact_key, "
                "record = excluded.record, removed = excluded.removed, "
                "differs = excluded.differs, lacks = excluded.lacks, edits = excluded.edits, "
                "there = excluded.there",
                [vars(sighting) for sighting in sightings],
            )
            self._runs.advance("verification", cursor)

    def _unmark(self, sightings: Sequence[SeenLead]) -> None:
        """Withdraw the mark of contacts whose own lead was seen again, otherwise."""
        marked = [one for one in sightings if one.key is not None and self._as_sent[one.key]]
        rows = self._database.rows(
            "SELECT contact.key FROM json_each(:ids) JOIN contact ON contact.lead_id = value",
            ids=json.dumps([one.lead_id for one in marked]),
        )
        for row in rows:
            self._as_sent[row.key] = 0

    def write_unidentified(self, sightings: Sequence[SeenLead]) -> None:
        """
        Store rows without an id, each as the own lead of its contact; a row with that id prevails.
        """
        with self._database.transaction():
            self._database.execute(
                f"{_WRITE_SIGHTING} ON CONFLICT DO NOTHING",
                [vars(one) for one in sightings if one.key is None or not self._as_sent[one.key]],
            )

    def unseen(self) -> int:
        """The number of contacts that the listings did not show and that are not yet missing."""
        with self._database.transaction():
            there = self._number(f"FROM seen_lead WHERE {_IS_OWN}")
            missing = self._database.decoded(self._database.one(_MISSING_AND_NOT_STORED).found)
            sent = self._database.one(_COUNT_SENT).n
        known = sum(not self._as_sent[key] for key in missing)
        return int(sent) - self._as_sent.count(1) - there - known

    def is_any_unlike(self, not_compared: Collection[str]) -> bool:
        """
        Whether a lead that is to be verified differs from what LeadGenius was told.

        Args:
            not_compared: As for `conclude`.
        """
        rows = self._database.rows(
            "SELECT DISTINCT differs, lacks FROM seen_lead JOIN contact ON key = contact_key "
            "WHERE state = 'posted' AND contact.lead_id = seen_lead.lead_id "
            "AND NOT (removed OR edits) AND ifnull(differs, lacks) IS NOT NULL"
        )
        return any(
            row.differs or not set(row.lacks.split(", ")) <= set(not_compared) for row in rows
        )

    def drop_guesses(self) -> int:
        """
        Drop leads that were matched to a contact without a lead by their e-mail alone.

        For a listing that shows notes: there, a lead without a line is not ours. Returns how many.
        """
        with self._database.transaction():
            dropped = self._database.run(
                "DELETE FROM seen_lead WHERE record IS NULL AND contact_key IN "
                "(SELECT key FROM contact WHERE lead_id IS NULL AND key = contact_key) "
                f"AND NOT {IS_FORMER}"
            )
        return int(dropped.rowcount)

    # When it is complete

    def conclude(self, not_compared: Collection[str] = ()) -> VerifyCounters:
        """
        Move and hold the contacts by complete listings, some thousands a transaction.

        Seen as sent: verified. Seen otherwise: held as different, or, if it was verified earlier,
        edited. Seen beside another lead of the same contact: held as doubled. Not seen, or marked
        as deleted: held as missing. A contact that an earlier verification held and that is in
        order now is freed. The method is idempotent, so a crash costs only another verification.

        Args:
            not_compared: Fields that the listing shows on no lead: lacking one is no difference.
        """
        self._conclude_lacks(not_compared)
        verified = sum(
            self._conclude_range(first, first + CONCLUDED_AT_ONCE - 1)
            for first in range(0, self._last_key() + 1, CONCLUDED_AT_ONCE)
        )
        return VerifyCounters(
            verified,
            count_held(self._database, Hold.MISSING),
            count_held(self._database, Hold.DIFFERENT),
            count_held(self._database, Hold.DOUBLED),
            edited=self._number("FROM contact WHERE edited IS NOT NULL"),
            unclaimed=self._count_unclaimed(),
            blocked=self._number(f"{_UNCLAIMED} AND NOT {_IS_ADOPTABLE}"),
            unknown=self._number("FROM seen_lead WHERE contact_key IS NULL"),
        )

    def _conclude_lacks(self, not_compared: Collection[str]) -> None:
        """Add the fields that a lead lacks to those that differ, except those not compared."""
        with self._database.transaction():
            rows = self._database.rows("SELECT DISTINCT lacks FROM seen_lead WHERE lacks > ''")
            comparable = {
                row.lacks: ", ".join(
                    name for name in row.lacks.split(", ") if name not in not_compared
                )
                for row in rows
            }
            self._database.run(
                "UPDATE seen_lead SET lacks = NULL, differs = nullif(ltrim(ifnull(differs, '') "
                "|| (SELECT iif(value = '', '', ', ' || value) FROM json_each(:comparable) "
                "WHERE json_each.key = lacks), ', '), '') WHERE lacks > ''",
                {"comparable": json.dumps(comparable)},
            )

    def _conclude_range(self, first: int, last: int) -> int:
        marks = self._as_sent[first : last + 1]
        as_sent = json.dumps([first + place for place, mark in enumerate(marks) if mark])
        keys = {"first": first, "last": last, "as_sent": as_sent}
        with self._database.transaction():
            others = self._database.one(_OTHERS_IN_RANGE, **keys).found
            rest = {"as_sent": as_sent, "others": others}
            if others != "[]":
                self._database.run(_RELEASE_HEALED, rest)
            verified = self._database.run(_VERIFY_SEEN_AS_SENT, keys).rowcount
            if others != "[]":
                for statement in (_HOLD_DIFFERENT, _HOLD_DOUBLED, _HOLD_MISSING, _NOTE_EDITED):
                    self._database.run(statement, rest)
        return int(verified)

    def _last_key(self) -> int:
        return int(self._database.one("SELECT ifnull(max(key), 0) AS key FROM contact").key)

    def _count_unclaimed(self) -> int:
        """The number of leads that a push can adopt; if any, have the next push scan for them."""
        with self._database.transaction():
            number = self._number(f"{_UNCLAIMED} AND {_IS_ADOPTABLE}")
            self._database.run("UPDATE ledger SET unclaimed = :n", {"n": number})
        return number

    def _number(self, of: str) -> int:
        return int(self._database.one(f"SELECT count(*) AS n {of}").n)

    def doubled(self, limit: int) -> list[DuplicateLeads]:
        """The first contacts that are held because they have more than one lead."""
        return self._database.read(
            DuplicateLeads,
            f"SELECT hubspot_id, lead_id, lead_id || ', ' || {_OTHERS} FROM contact "
            "WHERE held IS NOT NULL AND held = 'doubled' ORDER BY key LIMIT :limit",
            limit=limit,
        )

    def unclaimed(self, limit: int) -> list[UnclaimedLead]:
        """The first leads that the next push adopts for contacts that have none here."""
        return self._unclaimed(_IS_ADOPTABLE, limit)

    def blocked(self, limit: int) -> list[UnclaimedLead]:
        """The first leads of contacts that have none here and that no push adopts."""
        return self._unclaimed(f"NOT {_IS_ADOPTABLE}", limit)

    def _unclaimed(self, condition: str, limit: int) -> list[UnclaimedLead]:
        return self._database.read(
            UnclaimedLead,
            f"SELECT hubspot_id, seen_lead.lead_id, state, held, {IS_CERTAIN}, "
            f"erased_ms IS NOT NULL {_UNCLAIMED} AND {condition} "
            "ORDER BY contact.key, seen_lead.lead_id LIMIT :limit",
            limit=limit,
        )

    def unknown(self, limit: int) -> list[UnknownLead]:
        """The first leads of contacts that are not in this ledger."""
        return self._database.read(
            UnknownLead,
            "SELECT record, lead_id FROM seen_lead WHERE contact_key IS NULL "
            "ORDER BY record, lead_id LIMIT :limit",
            limit=limit,
        )


_WRITE_SIGHTING = (
    "INSERT INTO seen_lead VALUES (:lead_id, :key, :record, :removed, :differs, :lacks, :edits, "
    ":there)"
)
# A row of a contact whose own lead is listed as it was sent, after all.
_FORGET_SIGHTINGS = (
    "DELETE FROM seen_lead WHERE contact_key IN (SELECT value FROM json_each(:keys)) "
    "AND lead_id = (SELECT lead_id FROM contact WHERE key = contact_key)"
)
_OWN = "FROM seen_lead WHERE contact_key = key AND seen_lead.lead_id = contact.lead_id"
_IS_MARKED = "key IN (SELECT value FROM json_each(:as_sent))"
_SEEN = f"({_IS_MARKED} OR EXISTS (SELECT 1 {_OWN} AND NOT removed))"
_SEEN_AS_SENT = (
    f"({_IS_MARKED} OR EXISTS (SELECT 1 {_OWN} AND NOT removed AND (differs IS NULL OR edits)))"
)
_OTHER = "FROM seen_lead WHERE contact_key = key AND seen_lead.lead_id <> contact.lead_id"
_DOUBLED = f"EXISTS (SELECT 1 {_OTHER})"
# Leads that were seen of contacts without one in the ledger.
_UNCLAIMED = "FROM seen_lead JOIN contact ON key = contact_key WHERE contact.lead_id IS NULL"
_IS_ADOPTABLE = f"(state = 'mapped' AND erased_ms IS NULL AND {IS_CERTAIN})"
_OTHERS = (
    "(SELECT group_concat(lead_id, ', ') FROM "
    f"(SELECT seen_lead.lead_id {_OTHER} ORDER BY 1 LIMIT {MOST_LEADS_NAMED}))"
)
_DIFFERS = f"(SELECT differs {_OWN})"
# A contact with a write in doubt stands still until a command that sends has settled it.
_IN_RANGE = "key BETWEEN :first AND :last AND key NOT IN open_attempt"
# Those for which more can follow than that they are verified.
_OTHERS_IN_RANGE = (
    f"SELECT json_group_array(key) AS found FROM contact WHERE {_IN_RANGE} "
    f"AND state IN ('posted', 'verified') AND (NOT {_IS_MARKED} OR held IS NOT NULL "
    "OR edited IS NOT NULL OR EXISTS (SELECT 1 FROM seen_lead WHERE contact_key = key))"
)
_IS_OTHER = "key IN (SELECT value FROM json_each(:others))"
_HELD_BY_US = "held IN ('missing', 'different', 'doubled')"

_RELEASE_HEALED = (
    f"UPDATE contact SET held = NULL, detail = NULL WHERE {_HELD_BY_US} AND {_IS_OTHER} "
    f"AND NOT {_DOUBLED} AND ({_SEEN_AS_SENT} OR (state = 'verified' AND {_SEEN}))"
)
_VERIFY_SEEN_AS_SENT = (
    f"UPDATE contact SET state = 'verified' WHERE {_IN_RANGE} "
    f"AND state = 'posted' AND (held IS NULL OR {_HELD_BY_US}) AND {_SEEN_AS_SENT}"
)
_HOLD_DIFFERENT = (
    f"UPDATE contact SET held = 'different', detail = json_quote({_DIFFERS}) "
    f"WHERE {_IS_OTHER} AND state = 'posted' AND {_SEEN} AND NOT {_SEEN_AS_SENT}"
)
_HOLD_DOUBLED = (
    "UPDATE contact SET held = 'doubled', "
    f"detail = json_object('code', 'DOUBLED', 'lead', lead_id, 'others', {_OTHERS}, "
    f"'fields', iif(state = 'posted', {_DIFFERS}, NULL)) "
    f"WHERE {_IS_OTHER} AND {_SEEN} AND {_DOUBLED}"
)
_HOLD_MISSING = (
    "UPDATE contact SET held = 'missing', edited = NULL, detail = json_object('code', "
    f"iif(EXISTS (SELECT 1 {_OWN}), 'REMOVED', 'NOT_LISTED'), 'lead', lead_id, "
    f"'others', {_OTHERS}) WHERE {_IS_OTHER} AND NOT {_SEEN}"
)
_NOTE_EDITED = (
    f"UPDATE contact SET edited = {_DIFFERS} WHERE {_IS_OTHER} "
    f"AND state = 'verified' AND {_SEEN} AND edited IS NOT {_DIFFERS}"
)
_IS_OWN = (
    "EXISTS (SELECT 1 FROM contact INDEXED BY contact_by_lead "
    "WHERE contact.lead_id = seen_lead.lead_id AND key = contact_key)"
)
_COUNT_SENT = (
    "SELECT ifnull(sum(contacts), 0) AS n FROM state_count WHERE state IN ('posted', 'verified')"
)
_MISSING_AND_NOT_STORED = (
    "SELECT json_group_array(key) AS found FROM contact WHERE held IS NOT NULL "
    f"AND held = 'missing' AND lead_id IS NOT NULL AND NOT EXISTS (SELECT 1 {_OWN})"
)
