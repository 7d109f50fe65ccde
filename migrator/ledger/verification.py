"""
The leads that a verification's listings showed, and what follows for each contact.

Each page stores the leads it shows; they are compared with the contacts once a listing is complete.
Notes are read and fields compared elsewhere.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.counters import VerifyCounters
from migrator.ledger.database import Database
from migrator.ledger.holds import IS_CERTAIN, IS_FORMER, count_held
from migrator.ledger.reconcile import LeadIdentity
from migrator.ledger.runs import Runs
from migrator.states import Hold, State

CONCLUDED_AT_ONCE = 5_000
MOST_LEADS_NAMED = 20  # of one contact


@dataclass(frozen=True)
class MatchedContact:
    """
    The contact that a listed lead belongs to.

    Args:
        lead_id: The contact's lead in the ledger; `None` = it has none.
        lead: What was or would be sent; `None` = not mapped.
        is_in_doubt: Whether a send is open.
        updates: `{"fields", "before"}` of the updates that were taken since the last verification,
            in their order.
        was_verified: Whether it was verified before them.
    """

    key: int
    lead_id: str | None
    lead: Mapping[str, Any] | None
    is_in_doubt: bool
    updates: Sequence[Mapping[str, Mapping[str, Any]]] = ()
    was_verified: bool = False


@dataclass(frozen=True)
class SeenLead:
    """
    A listed lead that is one of ours (see `schema.sql`).

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
    """

    hubspot_id: str
    lead_id: str
    state: State
    held: Hold | None
    is_certain: bool


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

    # While it lists

    def begin(self, *, again: bool = False) -> None:
        """Begin a listing; unless it is a second one (`again`), drop the leads seen before."""
        with self._database.transaction():
            if not again:
                self._database.run("DELETE FROM seen_lead")
            self._runs.begin_scan("verification")

    def owners(self, page: Sequence[LeadIdentity]) -> dict[str, MatchedContact]:
        """
        The contacts that the leads of a page belong to, by lead id; other leads are left out.

        A lead belongs to the contact that has its id, else to the one that had it before, else to
        the one that its record line names, else, if it has no line of any portal, to the one with
        its e-mail, unless such leads were there before us (design, I4). A contact that was never
        sent owns no lead by its e-mail.
        """
        rows = self._database.rows(
            "SELECT listed.lead_id AS listed_id, contact.key, contact.lead_id, contact.lead, "
            "EXISTS (SELECT 1 FROM open_attempt WHERE contact_key = contact.key) "
            f"AS is_open, {_UPDATES} AS updates, {_WAS_VERIFIED} AS was_verified "
            f"FROM {_PAGE} AS listed JOIN contact ON contact.key = coalesce("
            "(SELECT key FROM contact AS own WHERE own.lead_id = listed.lead_id),"
            "(SELECT contact_key FROM former_lead WHERE lead_id = listed.lead_id),"
            "(SELECT own.key FROM record_owner AS named JOIN contact AS own ON own.key = named.key "
            "WHERE named.hubspot_id IN (SELECT value FROM json_each(listed.hubspot_ids)) "
            "ORDER BY own.lead_id IS NOT NULL, own.key LIMIT 1),"
            # Very many contacts may share an e-mail: the first one with a lead.
            f"CASE WHEN {_HAS_NO_LINE} THEN "
            "(SELECT key FROM contact AS own WHERE own.email_key = listed.email_key "
            "AND own.lead_id IS NOT NULL AND foreign_lead_id IS NULL ORDER BY key LIMIT 1) END,"
            f"CASE WHEN {_HAS_NO_LINE} AND NOT listed.shows_notes THEN "
            "(SELECT key FROM contact AS own WHERE own.email_key = listed.email_key "
            "AND own.lead_id IS NULL AND ifnull(foreign_lead_id, listed.lead_id) = listed.lead_id "
            "AND EXISTS (SELECT 1 FROM attempt WHERE contact_key = own.key) LIMIT 1) END)",
            page=json.dumps(
                [{**vars(one), "hubspot_ids": sorted(one.hubspot_ids)} for one in page]
            ),
        )
        return {
            row.listed_id: MatchedContact(
                row.key,
                row.lead_id,
                self._database.decoded(row.lead),
                bool(row.is_open),
                self._database.decoded(row.updates) or (),
                bool(row.was_verified),
            )
            for row in rows
        }

    def write_sightings(self, sightings: Sequence[SeenLead], cursor: str | None) -> None:
        """Store the leads of a page and the next cursor in one transaction."""
        with self._database.transaction():
            self._database.execute(
                f"{_WRITE_SIGHTING} ON CONFLICT DO UPDATE SET contact_key = excluded.contact_key, "
                "record = excluded.record, removed = excluded.removed, "
                "differs = excluded.differs, lacks = excluded.lacks, edits = excluded.edits, "
                "there = excluded.there",
                [vars(sighting) for sighting in sightings],
            )
            self._runs.advance("verification", cursor)

    def write_unidentified(self, sightings: Sequence[SeenLead]) -> None:
        """
        Store rows without an id, each as the lead of its contact; a row with that id prevails.
        """
        with self._database.transaction():
            self._database.execute(
                f"{_WRITE_SIGHTING} ON CONFLICT DO NOTHING",
                [vars(sighting) for sighting in sightings],
            )

    def unseen(self) -> int:
        """The number of contacts that the listings did not show and that are not yet missing."""
        unseen = self._database.one(f"{_COUNT_WITH_LEAD} AND {_NOT_SEEN}").n
        known = self._database.one(f"{_COUNT_MISSING} AND {_NOT_SEEN}").n
        return int(unseen) - int(known)

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
        last = self._database.one("SELECT ifnull(max(key), 0) AS key FROM contact").key
        verified = sum(
            self._conclude_range({"first": first, "last": first + CONCLUDED_AT_ONCE - 1})
            for first in range(0, last + 1, CONCLUDED_AT_ONCE)
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

    def _conclude_range(self, keys: dict[str, int]) -> int:
        with self._database.transaction():
            self._database.run(_RELEASE_HEALED, keys)
            verified = self._database.run(_VERIFY_SEEN_AS_SENT, keys).rowcount
            for statement in (_HOLD_DIFFERENT, _HOLD_DOUBLED, _HOLD_MISSING, _NOTE_EDITED):
                self._database.run(statement, keys)
        return int(verified)

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
            f"SELECT hubspot_id, seen_lead.lead_id, state, held, {IS_CERTAIN} "
            f"{_UNCLAIMED} AND {condition} ORDER BY contact.key, seen_lead.lead_id LIMIT :limit",
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


# The partial index of updates and deletes is empty for most ledgers.
_UPDATES = (
    "CASE WHEN contact.state = 'posted' AND EXISTS (SELECT 1 FROM attempt "
    "WHERE attempt.lead_id = contact.lead_id AND kind <> 'create') THEN "
    "(SELECT json_group_array(json_object('fields', json(fields), 'before', json(before))) FROM "
    "(SELECT fields, before FROM attempt WHERE contact_key = contact.key AND kind = 'update' "
    "AND outcome IN ('updated', 'found') AND run_id > (SELECT ifnull(max(id), 0) FROM run_command "
    "WHERE command = 'verify' AND exit_code IN (0, 1)) ORDER BY number)) END"
)
_WAS_VERIFIED = (
    "CASE WHEN contact.state = 'posted' AND EXISTS (SELECT 1 FROM attempt "
    "WHERE attempt.lead_id = contact.lead_id AND kind <> 'create') THEN EXISTS (SELECT 1 "
    "FROM event WHERE contact_key = contact.key AND target = 'verified') ELSE 0 END"
)
_WRITE_SIGHTING = (
    "INSERT INTO seen_lead VALUES (:lead_id, :key, :record, :removed, :differs, :lacks, :edits, "
    ":there)"
)
_PAGE = (
    "(SELECT json_extract(value, '$.lead_id') AS lead_id, "
    "json_extract(value, '$.email_key') AS email_key, "
    "json_extract(value, '$.hubspot_ids') AS hubspot_ids, "
    "json_extract(value, '$.names_others') AS names_others, "
    "json_extract(value, '$.shows_notes') AS shows_notes FROM json_each(:page))"
)
_HAS_NO_LINE = "json_array_length(listed.hubspot_ids) = 0 AND NOT listed.names_others"
_OWN = "FROM seen_lead WHERE contact_key = key AND seen_lead.lead_id = contact.lead_id"
_SEEN = f"EXISTS (SELECT 1 {_OWN} AND NOT removed)"
_SEEN_AS_SENT = f"EXISTS (SELECT 1 {_OWN} AND NOT removed AND (differs IS NULL OR edits))"
_OTHER = "FROM seen_lead WHERE contact_key = key AND seen_lead.lead_id <> contact.lead_id"
_DOUBLED = f"EXISTS (SELECT 1 {_OTHER})"
# Leads that were seen of contacts without one in the ledger.
_UNCLAIMED = "FROM seen_lead JOIN contact ON key = contact_key WHERE contact.lead_id IS NULL"
_IS_ADOPTABLE = f"(state = 'mapped' AND {IS_CERTAIN})"
_OTHERS = (
    "(SELECT group_concat(lead_id, ', ') FROM "
    f"(SELECT seen_lead.lead_id {_OTHER} ORDER BY 1 LIMIT {MOST_LEADS_NAMED}))"
)
_DIFFERS = f"(SELECT differs {_OWN})"
# A contact with a write in doubt stands still until a command that sends has settled it.
_IN_RANGE = "key BETWEEN :first AND :last AND key NOT IN open_attempt"
_SENT_IN_RANGE = f"{_IN_RANGE} AND state IN ('posted', 'verified')"
_HELD_BY_US = "held IN ('missing', 'different', 'doubled')"

_RELEASE_HEALED = (
    f"UPDATE contact SET held = NULL, detail = NULL WHERE {_HELD_BY_US} AND {_SENT_IN_RANGE} "
    f"AND NOT {_DOUBLED} AND ({_SEEN_AS_SENT} OR (state = 'verified' AND {_SEEN}))"
)
_VERIFY_SEEN_AS_SENT = (
    f"UPDATE contact SET state = 'verified' WHERE {_IN_RANGE} "
    f"AND state = 'posted' AND (held IS NULL OR {_HELD_BY_US}) AND {_SEEN_AS_SENT}"
)
_HOLD_DIFFERENT = (
    f"UPDATE contact SET held = 'different', detail = json_quote({_DIFFERS}) "
    f"WHERE {_IN_RANGE} AND state = 'posted' AND {_SEEN} AND NOT {_SEEN_AS_SENT}"
)
_HOLD_DOUBLED = (
    "UPDATE contact SET held = 'doubled', "
    f"detail = json_object('code', 'DOUBLED', 'lead', lead_id, 'others', {_OTHERS}, "
    f"'fields', iif(state = 'posted', {_DIFFERS}, NULL)) "
    f"WHERE {_SENT_IN_RANGE} AND {_SEEN} AND {_DOUBLED}"
)
_HOLD_MISSING = (
    "UPDATE contact SET held = 'missing', edited = NULL, detail = json_object('code', "
    f"iif(EXISTS (SELECT 1 {_OWN}), 'REMOVED', 'NOT_LISTED'), 'lead', lead_id, "
    f"'others', {_OTHERS}) WHERE {_SENT_IN_RANGE} AND NOT {_SEEN}"
)
_NOTE_EDITED = (
    f"UPDATE contact SET edited = {_DIFFERS} WHERE {_IN_RANGE} "
    f"AND state = 'verified' AND {_SEEN} AND edited IS NOT {_DIFFERS}"
)
# A merge of the two indexes of leads, without reading contacts: each with a lead was sent.
_COUNT_WITH_LEAD = (
    "SELECT count(*) AS n FROM contact INDEXED BY contact_by_lead WHERE lead_id IS NOT NULL"
)
_COUNT_MISSING = (
    "SELECT count(*) AS n FROM contact WHERE held IS NOT NULL AND held = 'missing' "
    "AND lead_id IS NOT NULL"
)
_NOT_SEEN = (
    "NOT EXISTS (SELECT 1 FROM seen_lead "
    "WHERE seen_lead.lead_id = contact.lead_id AND contact_key = key)"
)
