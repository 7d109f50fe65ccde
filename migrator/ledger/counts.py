"""
Counts for reports and plans: contacts by state and hold, moves, sends.

The queries of a report do not grow with the ledger. Those of a plan's provenance and of the HTML
page's history read all contacts, sends and moves once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migrator.ledger.database import Database
from migrator.ledger.holds import OCCUPIES_EMAIL
from migrator.ledger.since_sent import CHANGED
from migrator.states import MOVES, Hold, Outcome, State


@dataclass(frozen=True)
class StateCount:
    """
    The number of contacts in a state with a hold.

    Args:
        held: `None` = not held.
        in_doubt: How many of them have an open attempt: in flight or in doubt.
    """

    state: State
    held: Hold | None
    contacts: int
    in_doubt: int = 0


@dataclass(frozen=True)
class HeldContact:
    """A held contact."""

    hubspot_id: str
    state: State
    held: Hold
    detail: str | None


@dataclass(frozen=True)
class EditedContact:
    """A contact whose lead was verified; `fields` = names of those that differ since."""

    hubspot_id: str
    fields: str


@dataclass(frozen=True)
class HeldSource:
    """
    A contact that needs attention, with its values.

    Args:
        source: HubSpot's values.
        amended: The values that replace them; `None` = none.
    """

    hubspot_id: str
    state: State
    detail: str | None
    source: Mapping[str, Any]
    amended: Mapping[str, Any] | None


@dataclass(frozen=True)
class ProvenanceGroup:
    """
    Contacts to be sent whose leads were built in the same way.

    Args:
        derived_fields: The values that the mapping derived.
        company_rule: The rule that chose the company; `None` = none.
        has_company_name: Whether the lead has one.
        is_outdated: Whether another than the active mapping built it.
        contacts: Their number.
    """

    derived_fields: tuple[str, ...]
    company_rule: str | None
    has_company_name: bool
    is_outdated: bool
    contacts: int


@dataclass(frozen=True)
class DuplicatePair:
    """
    A duplicate and the contact that is sent instead.

    Args:
        winner: HubSpot's id of that contact; `None` = no contact has the e-mail any more.
        state, held: Of that contact.
        is_earlier: Whether it comes first in HubSpot's order.
    """

    hubspot_id: str
    winner: str | None
    state: State | None
    held: Hold | None
    is_earlier: bool


@dataclass(frozen=True)
class MoveCount:
    """How often contacts moved from one state to another."""

    source: State
    target: State
    times: int


@dataclass(frozen=True)
class Arrivals:
    """
    Leads that arrived in one interval.

    Args:
        begin_ms: The beginning of the interval.
        created: Answered at once.
        found: In doubt first, then listed.
    """

    begin_ms: int
    created: int
    found: int


@dataclass(frozen=True)
class Sends:
    """
    All attempts.

    Args:
        outcomes: Attempts by outcome; `None` = in flight or in doubt.
        arrived_ms: When the first and the last lead arrived (since the epoch); `None` = none did.
        announced: The ledger's own count of intents.
        repeated: Contacts that were sent more than once.
        after_a_lead: Sends of a contact that had a lead from an earlier send: each was asked for by
            a person, after a complete listing did not show that lead any more.
        leads: Contacts with a lead.
        distinct_leads: Distinct lead ids among them.
        adopted: Leads among them that no send of this ledger created.
    """

    outcomes: Mapping[Outcome | None, int]
    arrived_ms: tuple[int, int] | None
    announced: int
    repeated: int
    after_a_lead: int
    leads: int
    distinct_leads: int
    adopted: int

    @property
    def intents(self) -> int:
        """The number of attempts."""
        return sum(self.outcomes.values())

    @property
    def left(self) -> int:
        """How many of them left this machine."""
        return self.intents - self.outcomes.get(Outcome.UNSENT, 0)


class Counts:
    """Queries only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # For the report

    def sums(self) -> list[StateCount]:
        """Contacts by state and hold; every contact counts once."""
        return self._database.read(
            StateCount,
            "WITH doubt AS (SELECT state, ifnull(held, '') AS held, count(*) AS contacts "
            "FROM open_attempt JOIN contact ON key = contact_key GROUP BY 1, 2) "
            "SELECT state, nullif(held, ''), state_count.contacts, ifnull(doubt.contacts, 0) "
            "FROM state_count LEFT JOIN doubt USING (state, held) WHERE state_count.contacts > 0",
        )

    def to_map(self) -> int:
        """The number of contacts that may be mapped."""
        return self._free(State.EXTRACTED)

    def to_send(self) -> int:
        """The number of contacts to send, including those in flight or in doubt."""
        return self._free(State.MAPPED)

    def _free(self, state: State) -> int:
        row = self._database.one(
            "SELECT coalesce(sum(contacts), 0) AS contacts FROM state_count "
            "WHERE state = :state AND held = ''",
            state=state,
        )
        return int(row.contacts)

    def in_doubt(self) -> int:
        """The number of contacts with an open attempt: in flight or in doubt."""
        return int(self._database.one("SELECT count(*) AS n FROM open_attempt").n)

    def moved(self) -> tuple[int, int]:
        """Contacts that changed in HubSpot since they were sent, and those it has no more."""
        gone = self._count("SELECT count(*) AS n FROM contact WHERE gone IS NOT NULL")
        return self._count(f"SELECT count(*) AS n FROM contact WHERE {CHANGED}"), gone

    def changed(self, limit: int) -> tuple[int, list[str]]:
        """Contacts that changed in HubSpot since they were sent: number and first ids."""
        return self._first(CHANGED, limit)

    def gone(self, limit: int) -> tuple[int, list[str]]:
        """Contacts with a lead that HubSpot has no more: number and first ids."""
        return self._first("gone IS NOT NULL AND +lead_id IS NOT NULL", limit)

    def _first(self, condition: str, limit: int) -> tuple[int, list[str]]:
        rows = self._database.rows(
            f"SELECT hubspot_id FROM contact WHERE {condition} ORDER BY key LIMIT :limit",
            limit=limit,
        )
        count = self._count(f"SELECT count(*) AS n FROM contact WHERE {condition}")
        return count, [row.hubspot_id for row in rows]

    def with_longer_notes(self, characters: int | None) -> int:
        """Contacts to send whose notes are longer than this; `None` = no limit, so none is."""
        if characters is None:
            return 0
        found = self._database.one(
            "SELECT count(*) AS n FROM contact WHERE state = 'mapped' AND held IS NULL "
            "AND length(lead ->> '$.notes') > :characters",
            characters=characters,
        )
        return int(found.n)

    def edited(self, limit: int) -> tuple[int, list[EditedContact]]:
        """Contacts whose lead was verified and differs since: number and first ones."""
        count = self._database.one("SELECT count(*) AS n FROM contact WHERE edited IS NOT NULL").n
        first = self._database.read(
            EditedContact,
            "SELECT hubspot_id, edited FROM contact WHERE edited IS NOT NULL "
            "ORDER BY key LIMIT :limit",
            limit=limit,
        )
        return int(count), first

    def held(self, held: Hold, limit: int) -> list[HeldContact]:
        """The first contacts with this hold, in HubSpot's order."""
        return self._database.read(
            HeldContact,
            "SELECT hubspot_id, state, held, detail FROM contact WHERE held IS NOT NULL "
            "AND held = :held ORDER BY key LIMIT :limit",
            held=held,
            limit=limit,
        )

    def people_held(self, held: Hold, limit: int) -> list[HeldSource]:
        """The first contacts with this hold, with their values."""
        return self._people("held IS NOT NULL AND held = :held", held=held, limit=limit)

    def people_changed(self, limit: int) -> list[HeldSource]:
        """The first contacts that changed since they were sent, with their values."""
        return self._people(CHANGED, limit=limit)

    def people_gone(self, limit: int) -> list[HeldSource]:
        """The first contacts with a lead that HubSpot has no more, with their values."""
        return self._people("gone IS NOT NULL AND +lead_id IS NOT NULL", limit=limit)

    def people_edited(self, limit: int) -> list[HeldSource]:
        """The first whose verified lead differs since; `detail` = the names of its fields."""
        return self._people("edited IS NOT NULL", detail="json_quote(edited)", limit=limit)

    def _people(self, condition: str, *, detail: str = "detail", **params: Any) -> list[HeldSource]:
        return self._database.read(
            HeldSource,
            f"SELECT hubspot_id, state, {detail}, source, amended FROM contact "
            f"WHERE {condition} ORDER BY key LIMIT :limit",
            **params,
        )

    # For the plan

    def by_provenance(self) -> list[ProvenanceGroup]:
        """All contacts to send, without those in doubt, grouped by how their leads were built."""
        return self._database.read(
            ProvenanceGroup,
            "SELECT derived_fields, company_rule, json_extract(lead, '$.companyName') IS NOT NULL, "
            "mapping IS NOT (SELECT mapping FROM ledger), count(*) FROM contact "
            "WHERE state = 'mapped' AND held IS NULL AND key NOT IN open_attempt "
            "GROUP BY 1, 2, 3, 4",
        )

    def duplicate_pairs(self, limit: int) -> list[DuplicatePair]:
        """The first duplicates, in HubSpot's order."""
        return self._database.read(
            DuplicatePair,
            "SELECT second.hubspot_id, first.hubspot_id, first.state, first.held, "
            "ifnull(first.key < second.key, 0) FROM (SELECT key, hubspot_id, email_key "
            "FROM contact WHERE held IS NOT NULL AND held = 'duplicate_email' "
            "ORDER BY key LIMIT :limit) AS second LEFT JOIN contact AS first ON first.key = "
            "(SELECT key FROM contact AS first WHERE email_key = second.email_key "
            f"AND {OCCUPIES_EMAIL} "
            "ORDER BY lead_id IS NULL, held IS NOT NULL, key LIMIT 1) ORDER BY second.key",
            limit=limit,
        )

    # The history

    def moves(self) -> list[MoveCount]:
        """The number of moves by source and target; those without any are left out."""
        row = self._database.one(f"SELECT {_MOVES} FROM event WHERE source IS NOT NULL")
        counted = zip(MOVES, row, strict=True)
        return [MoveCount(source, target, times) for (source, target), times in counted if times]

    def arrivals(self, width_ms: int) -> list[Arrivals]:
        """Leads that arrived, by intervals of this length, in order; empty ones are left out."""
        return self._database.read(
            Arrivals,
            "SELECT settled_ms / :width * :width AS begin_ms, "
            "count(*) FILTER (WHERE outcome = 'created'), "
            "count(*) FILTER (WHERE outcome = 'found') "
            f"FROM attempt WHERE {_MADE} GROUP BY begin_ms ORDER BY begin_ms",
            width=width_ms,
        )

    def sends(self) -> Sends:
        """The results of all sends."""
        row = self._database.one(_SENT)
        outcomes = {outcome: row[place] for place, outcome in enumerate(_OUTCOMES)}
        # Through the index of leads: the rows of contacts are much longer.
        leads = self._count("SELECT count(*) AS n FROM contact WHERE lead_id IS NOT NULL")
        distinct = self._count(
            "SELECT count(*) AS n FROM (SELECT DISTINCT lead_id FROM contact "
            "WHERE lead_id IS NOT NULL)"
        )
        return Sends(
            outcomes={outcome: times for outcome, times in outcomes.items() if times},
            arrived_ms=None if row.first is None else (row.first, row.last),
            announced=self._count("SELECT intents AS n FROM ledger"),
            repeated=row.repeated,
            after_a_lead=row.after_a_lead,
            leads=leads,
            distinct_leads=distinct,
            adopted=self._count(_ADOPTED),
        )

    def _count(self, sql: str) -> int:
        return int(self._database.one(sql).n)


# With a filter for each, because SQLite groups by sorting.
_MOVES = ", ".join(
    f"count(*) FILTER (WHERE source = '{source}' AND target = '{target}')"
    for source, target in MOVES
)
# A send that made a lead: a create alone is `created`.
_MADE = "(outcome = 'created' OR (outcome = 'found' AND kind = 'create'))"
_OUTCOMES = (*Outcome, None)
# In one pass. Only sends that create count as repeated.
_SENT = (
    "SELECT "
    + "".join(f"count(*) FILTER (WHERE outcome = '{one}'), " for one in Outcome)
    + "count(*) FILTER (WHERE outcome IS NULL), "
    f"min(settled_ms) FILTER (WHERE {_MADE}) AS first, "
    f"max(settled_ms) FILTER (WHERE {_MADE}) AS last, "
    "count(*) FILTER (WHERE number > 1 AND kind = 'create' AND outcome IS NOT 'unsent' "
    "AND (SELECT count(*) FROM attempt AS earlier "
    "WHERE earlier.contact_key = attempt.contact_key AND earlier.number < attempt.number "
    "AND earlier.kind = 'create' AND earlier.outcome IS NOT 'unsent') = 1) AS repeated, "
    "count(*) FILTER (WHERE number > 1 AND kind = 'create' AND (SELECT outcome "
    "FROM attempt AS earlier WHERE earlier.contact_key = attempt.contact_key "
    "AND earlier.number < attempt.number AND earlier.kind = 'create' "
    "ORDER BY earlier.number DESC LIMIT 1) IN ('created', 'found')) AS after_a_lead FROM attempt"
)
# Contacts and attempts are both read in the order of their keys: through the index of leads, each
# attempt would be read from another place.
_ADOPTED = (
    "SELECT count(*) AS n FROM contact NOT INDEXED WHERE lead_id IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM attempt WHERE contact_key = key AND attempt.lead_id = contact.lead_id "
    "AND kind = 'create') "
    # A predecessor may have sent it.
    "AND NOT EXISTS (SELECT 1 FROM contact AS former JOIN attempt ON contact_key = former.key "
    "WHERE former.succeeded_by = contact.key AND attempt.lead_id = contact.lead_id "
    "AND kind = 'create')"
)
