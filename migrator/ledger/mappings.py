"""
The mappings of a ledger: the active one, and those that built its leads.

A mapping is stored as its text and the hash of its rules; it is parsed elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

from migrator.ledger.database import Database
from migrator.ledger.holds import EXTRACTED_AGAIN, HAS_LED_TO_A_LEAD, IS_AT_REST
from migrator.ledger.runs import Runs

WITHDRAWN_AT_ONCE = 5_000


@dataclass(frozen=True)
class StoredMapping:
    """A mapping as stored: the file's text, and the hash of its rules."""

    id: int
    hash: str
    text: str


class Mappings:
    """Queries and changes of mappings."""

    def __init__(self, database: Database, runs: Runs) -> None:
        self._database = database
        self._runs = runs

    def active(self) -> StoredMapping | None:
        """The active mapping; `None` = none yet."""
        row = self._database.one(
            "SELECT mapping.id, hash, text FROM mapping JOIN ledger ON ledger.mapping = mapping.id"
        )
        return None if row is None else StoredMapping(*row)

    def store(self, hash_: str, text: str) -> int:
        """Store a mapping without activating it; for equal rules, the newest text is stored."""
        with self._database.transaction():
            row = self._database.run(
                "INSERT INTO mapping (hash, text) VALUES (:hash, :text) "
                "ON CONFLICT (hash) DO UPDATE SET text = excluded.text RETURNING id",
                {"hash": hash_, "text": text},
            ).one()
        return int(row.id)

    def activate(self, mapping: int, *, restart: bool) -> None:
        """
        Make a mapping the active one.

        Args:
            restart: Restart the extraction in the same transaction, because the mapping reads
                properties that were not extracted so far.
        """
        with self._database.transaction():
            self._database.run("UPDATE ledger SET mapping = :mapping", {"mapping": mapping})
            if restart:
                self._runs.begin_scan("extraction")

    def discard_others(self, mapping: int, check: Callable[[], None]) -> int:
        """
        Move unsent contacts that another mapping built or excluded back to extracted.

        Some thousands of contacts a transaction; the method is idempotent. A contact with an open
        attempt stays until that is settled (see `holds.discard_mapping`), one whose send led to a
        lead until a person frees it.

        Args:
            check: Called between transactions; raises when the user wants to stop.

        Returns:
            How many were moved back.
        """
        last = self._database.one("SELECT ifnull(max(key), 0) AS key FROM contact").key
        withdrawn = 0
        for first in range(0, last + 1, WITHDRAWN_AT_ONCE):
            if first:
                check()
            keys = {"first": first, "last": first + WITHDRAWN_AT_ONCE - 1, "mapping": mapping}
            with self._database.transaction():
                withdrawn += self._database.run(_WITHDRAW_RANGE, keys).rowcount
                withdrawn += self._database.run(_FREE_RANGE, keys).rowcount
        return withdrawn

    def used_by_sent(self) -> dict[int, StoredMapping]:
        """The mappings that built leads that were or may have been sent, by id."""
        rows = self._database.rows(
            "SELECT id, hash, text FROM mapping AS kept "
            "WHERE EXISTS (SELECT 1 FROM contact WHERE lead_id IS NOT NULL AND mapping IS kept.id) "
            # CROSS JOIN: start at the few open attempts.
            "OR EXISTS (SELECT 1 FROM open_attempt CROSS JOIN contact ON contact.key = contact_key "
            "WHERE mapping IS kept.id) "
            "OR EXISTS (SELECT 1 FROM contact "
            "WHERE held IS NOT NULL AND held = 'already_in_destination' "
            f"AND {HAS_LED_TO_A_LEAD} AND mapping IS kept.id)"
        )
        return {row.id: StoredMapping(*row) for row in rows}

    def sent_with_other(self, limit: int) -> tuple[int, list[str]]:
        """Contacts that were sent as another mapping built them: number and first ids."""
        count, first = 0, []
        for other in self._others():
            count += self._database.one(f"SELECT count(*) AS n {_SENT_BY}", mapping=other).n
            first += self._database.rows(
                f"SELECT key, hubspot_id {_SENT_BY} ORDER BY key LIMIT :limit",
                mapping=other,
                limit=limit,
            )
        return count, [row.hubspot_id for row in sorted(first)[:limit]]

    def _others(self) -> list[int]:
        """The ids of all mappings but the active one."""
        rows = self._database.rows(
            "SELECT id FROM mapping WHERE id <> (SELECT mapping FROM ledger) ORDER BY id"
        )
        return [row.id for row in rows]


_IN_RANGE = "key BETWEEN :first AND :last AND mapping IS NOT :mapping"
_WITHDRAW_RANGE = (
    f"{EXTRACTED_AGAIN} WHERE {_IN_RANGE} AND state = 'mapped' AND {IS_AT_REST} "
    f"AND gone IS NULL AND held IS NOT 'undone' AND NOT {HAS_LED_TO_A_LEAD}"
)
_FREE_RANGE = (
    "UPDATE contact SET held = NULL, detail = NULL, mapping = NULL "
    f"WHERE {_IN_RANGE} AND state = 'extracted' AND held IS NOT NULL AND gone IS NULL"
)
# By mapping, so that only what another mapping built is read. SQLite would choose the index of
# leads, which has nearly all contacts.
_SENT_BY = (
    "FROM contact INDEXED BY contact_sent_by_mapping "
    "WHERE lead_id IS NOT NULL AND mapping IS :mapping"
)
