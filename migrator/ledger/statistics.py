"""
What the whole journey was: every move and every send, counted.

It only reads. Unlike what a report asks (figures), its questions look through all sends and moves,
so only those ask them who show the history.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from migrator.ledger.database import Database
from migrator.states import Outcome, State


@dataclass(frozen=True)
class MoveCount:
    """How often contacts went from one state to another; `source=None` = they were extracted."""

    source: State | None
    target: State
    times: int


@dataclass(frozen=True)
class Arrivals:
    """
    Leads that sends left at the destination, settled in one stretch of time.

    Args:
        begin_ms: The beginning of the stretch.
        created: Answered at once.
        found: In doubt first, then shown by a listing.
    """

    begin_ms: int
    created: int
    found: int


@dataclass(frozen=True)
class Sends:
    """
    All attempts.

    Args:
        outcomes: How many ended so; `None` = in flight or in doubt now.
        announced: The ledger's own count of intents.
        repeated: Contacts that were sent more than once.
        after_a_lead: Sends of a contact that an earlier send had brought there: a person asked for
            each, when a complete listing did not show its lead any more.
        leads: Contacts whose lead is known.
        distinct_leads: Ids among them.
        adopted: Leads among them that no send of this ledger brought there.
    """

    outcomes: Mapping[Outcome | None, int]
    announced: int
    repeated: int
    after_a_lead: int
    leads: int
    distinct_leads: int
    adopted: int

    @property
    def intents(self) -> int:
        """How many there are."""
        return sum(self.outcomes.values())


_ARRIVED = "outcome IN ('created', 'found')"


class Statistics:
    """Questions only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def moves(self) -> list[MoveCount]:
        """Every kind of move that happened."""
        rows = self._database.rows(
            "SELECT source, target, count(*) AS times FROM event WHERE source IS NOT target "
            "GROUP BY source, target"
        )
        return [
            MoveCount(State(row.source) if row.source else None, State(row.target), row.times)
            for row in rows
        ]

    def arrived_between(self) -> tuple[int, int] | None:
        """When the first and the last lead arrived (ms since the epoch); `None` = none did."""
        row = self._database.one(
            "SELECT min(settled_ms) AS first, max(settled_ms) AS last FROM attempt "
            f"WHERE {_ARRIVED}"
        )
        return None if row.first is None else (row.first, row.last)

    def arrivals(self, origin_ms: int, width_ms: int) -> list[Arrivals]:
        """
        Leads that arrived, by stretches of time; those in which none did are left out.

        Args:
            origin_ms: Where the first stretch begins; nothing arrived before.
            width_ms: How long each is.
        """
        rows = self._database.rows(
            "SELECT (settled_ms - :origin) / :width AS stretch, "
            "sum(outcome = 'created') AS created, sum(outcome = 'found') AS found "
            f"FROM attempt WHERE {_ARRIVED} GROUP BY stretch ORDER BY stretch",
            origin=origin_ms,
            width=width_ms,
        )
        return [
            Arrivals(origin_ms + row.stretch * width_ms, row.created, row.found) for row in rows
        ]

    def sends(self) -> Sends:
        """How all sends ended, and what they left."""
        rows = self._database.rows(_ENDED)
        # Through the index of leads, which has each once: the contacts themselves are much longer.
        leads = self._count("SELECT count(*) AS n FROM contact WHERE lead_id IS NOT NULL")
        distinct = self._count(
            "SELECT count(*) AS n FROM (SELECT DISTINCT lead_id FROM contact "
            "WHERE lead_id IS NOT NULL)"
        )
        return Sends(
            outcomes={Outcome(row.outcome) if row.outcome else None: row.n for row in rows},
            announced=self._count("SELECT sends AS n FROM ledger"),
            repeated=sum(row.second for row in rows),
            after_a_lead=sum(row.after_a_lead for row in rows),
            leads=leads,
            distinct_leads=distinct,
            adopted=self._count(_ADOPTED),
        )

    def _count(self, sql: str) -> int:
        return int(self._database.one(sql).n)


# All in one pass. Attempts are numbered without gaps, so the one before is found by its key.
_ENDED = (
    "SELECT outcome, count(*) AS n, sum(number = 2) AS second, "
    "sum(number > 1 AND EXISTS (SELECT 1 FROM attempt AS earlier "
    "WHERE earlier.contact_key = attempt.contact_key AND earlier.number = attempt.number - 1 "
    "AND earlier.outcome IN ('created', 'found'))) AS after_a_lead "
    "FROM attempt GROUP BY outcome"
)
_ADOPTED = (
    "SELECT count(*) AS n FROM contact WHERE lead_id IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM attempt WHERE contact_key = key AND attempt.lead_id = contact.lead_id)"
)
