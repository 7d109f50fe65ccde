"""
What a push would find in the ledger, and what a listing of the client would mean for it.

It only reads. What grows with the ledger is counted by SQLite, in one pass.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from migrator.ledger.attempts import ContactToSend
from migrator.ledger.database import Database
from migrator.ledger.reconcile import LeadIdentity
from migrator.states import Hold, State


@dataclass(frozen=True)
class ProvenanceGroup:
    """
    Contacts to be sent that are alike in how their leads came about.

    Args:
        made_up: What the mapping had to make up.
        company_rule: Which rule chose the company; `None` = HubSpot names none.
        has_company_name: Whether the lead has one.
        is_outdated: Whether another mapping built it than the one in force.
        contacts: How many they are.
    """

    made_up: tuple[str, ...]
    company_rule: str | None
    has_company_name: bool
    is_outdated: bool
    contacts: int


@dataclass(frozen=True)
class DuplicatePair:
    """
    A duplicate, and the contact that is sent in its place.

    Args:
        winner: HubSpot's id of it; `None` = no contact has the e-mail any more.
        state, held: Where that one stands.
        is_earlier: Whether HubSpot gave the winner first.
    """

    hubspot_id: str
    winner: str | None
    state: State | None
    held: Hold | None
    is_earlier: bool


@dataclass(frozen=True)
class ListingMatches:
    """
    What leads of a listing mean for contacts that were not sent, by key (design, I5).

    Args:
        ours: A lead carries their line, so a push takes it over.
        beaten: They share their e-mail with one of those, so they are duplicates then.
        foreign: A lead that is not ours has their e-mail, so a push holds them.
    """

    ours: frozenset[int]
    beaten: frozenset[int]
    foreign: frozenset[int]


class Forecast:
    """Questions only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_provenance(self) -> list[ProvenanceGroup]:
        """All contacts to be sent but those in doubt, counted by how their leads came about."""
        rows = self._database.rows(
            "SELECT made_up, company_rule, json_extract(lead, '$.companyName') IS NOT NULL "
            "AS has_company_name, mapping IS NOT (SELECT mapping FROM ledger) AS is_outdated, "
            "count(*) AS contacts FROM contact WHERE state = 'mapped' AND held IS NULL "
            "AND key NOT IN (SELECT contact_key FROM attempt WHERE outcome IS NULL) "
            "GROUP BY 1, 2, 3, 4"
        )
        return [
            ProvenanceGroup(
                tuple(row.made_up.split(",")) if row.made_up else (),
                row.company_rule,
                bool(row.has_company_name),
                bool(row.is_outdated),
                row.contacts,
            )
            for row in rows
        ]

    def to_send(self, after: int, limit: int) -> list[ContactToSend]:
        """The next contacts to send behind a key, in HubSpot's order; not those in doubt."""
        rows = self._database.rows(
            # The untried come in this order from the index; the others are few.
            f"{_NEXT_TO_SEND} AND tries = 0 UNION ALL {_NEXT_TO_SEND} AND tries > 0 "
            "ORDER BY key LIMIT :limit",
            after=after,
            limit=limit,
        )
        return [ContactToSend(*row) for row in rows]

    def chosen_client_id(self) -> str | None:
        """The client that the ledger is bound to, or is to be; `None` = not known yet."""
        row = self._database.one("SELECT * FROM ledger")
        chosen = row.client_id or getattr(row, "chosen_client_id", None)
        return None if chosen is None else str(chosen)

    def duplicate_pairs(self, limit: int) -> list[DuplicatePair]:
        """The first duplicates, in HubSpot's order."""
        rows = self._database.rows(
            "SELECT second.hubspot_id, first.hubspot_id AS winner, first.state, first.held, "
            "first.key < second.key AS is_earlier FROM (SELECT key, hubspot_id, email_key "
            "FROM contact WHERE held IS NOT NULL AND held = 'duplicate_email' "
            "ORDER BY key LIMIT :limit) AS second LEFT JOIN contact AS first ON first.key = "
            "(SELECT key FROM contact WHERE email_key = second.email_key AND lead IS NOT NULL "
            "AND held IS NOT 'duplicate_email' "
            "ORDER BY lead_id IS NULL, held IS NOT NULL, key LIMIT 1) ORDER BY second.key",
            limit=limit,
        )
        return [
            DuplicatePair(
                row.hubspot_id,
                row.winner,
                State(row.state) if row.state else None,
                Hold(row.held) if row.held else None,
                bool(row.is_earlier),
            )
            for row in rows
        ]

    def match_listing(self, page: Sequence[LeadIdentity]) -> ListingMatches:
        """What a push would do at the sight of these leads; see `listing.adopt`, which does it."""
        there = [one for one in page if not one.is_removed]
        with self._database.transaction():
            ours, others = self._by_line(there)
            beaten = self._database.rows(
                "SELECT other.key FROM json_each(:keys) JOIN contact AS mine ON mine.key = value "
                "JOIN contact AS other ON other.email_key = mine.email_key "
                "AND other.key <> mine.key AND other.state = 'mapped' AND other.held IS NULL",
                keys=json.dumps(sorted(ours)),
            )
            foreign = self._database.rows(
                "SELECT contact.key FROM json_each(:emails) JOIN contact ON email_key = value "
                "WHERE state = 'mapped' AND held IS NULL AND namesake IS NULL "
                f"AND {_IS_AT_REST}",
                emails=json.dumps(sorted({one.email_key for one in there if one.email_key})),
            )
        return ListingMatches(
            ours,
            frozenset(row.key for row in beaten),
            others | frozenset(row.key for row in foreign),
        )

    def _by_line(self, page: Sequence[LeadIdentity]) -> tuple[frozenset[int], frozenset[int]]:
        """Contacts whose line leads carry: those that get the lead, and the others of one lead."""
        rows = self._database.rows(
            "SELECT json_extract(value, '$[0]') AS lead_id, contact.key, contact.held IS NULL "
            "AND contact.namesake IS NULL AS is_free, EXISTS (SELECT 1 FROM contact "
            "AS owner WHERE owner.lead_id = json_extract(value, '$[0]')) AS is_owned "
            "FROM json_each(:named) JOIN contact ON hubspot_id = json_extract(value, '$[1]') "
            f"WHERE state = 'mapped' AND {_IS_AT_REST} ORDER BY json_each.key",
            named=json.dumps(
                [[one.lead_id, id_] for one in page for id_ in sorted(one.hubspot_ids)]
            ),
        )
        # A lead can be one contact's only.
        first = {row.lead_id: row.key for row in reversed(rows) if not row.is_owned}
        ours = frozenset(first.values())
        return ours, frozenset(row.key for row in rows if row.is_free) - ours


_IS_AT_REST = (
    "NOT EXISTS (SELECT 1 FROM attempt WHERE contact_key = contact.key AND outcome IS NULL)"
)
_NEXT_TO_SEND = (
    "SELECT key, hubspot_id, lead FROM contact "
    f"WHERE state = 'mapped' AND held IS NULL AND key > :after AND {_IS_AT_REST}"
)
