"""Which contacts may be sent now, in several orders: `sendable_contact` of `schema.sql`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from migrator.ledger.database import Database


@dataclass(frozen=True)
class ContactToSend:
    """A contact that may be sent; `lead` is without the client_id."""

    key: int
    hubspot_id: str
    lead: Mapping[str, Any]


class LeadToProfile(NamedTuple):
    """
    The lead of a contact that may be sent.

    Args:
        derived_fields: The values that the mapping derived.
        modified_ms: When HubSpot last changed the contact; `None` = not known.
    """

    hubspot_id: str
    lead: Mapping[str, Any]
    derived_fields: Sequence[str]
    modified_ms: int | None


class Sendable:
    """Questions about the contacts that may be sent."""

    def __init__(self, database: Database) -> None:
        self._database = database

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

    def among(self, keys: Sequence[int]) -> list[ContactToSend]:
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

    def leads(self) -> Iterator[LeadToProfile]:
        """All contacts that may be sent, in the order in which they are; it streams them."""
        with self._database.transaction():
            for row in self._database.run(
                "SELECT hubspot_id, lead, derived_fields, modified_ms FROM sendable_contact "
                "ORDER BY tries, key"
            ):
                derived = row.derived_fields.split(",") if row.derived_fields else ()
                lead = self._database.decoded(row.lead)
                yield LeadToProfile(row.hubspot_id, lead, derived, row.modified_ms)

    def has_taken(self) -> bool:
        """Whether LeadGenius has ever accepted a lead of this ledger."""
        found = self._database.one("SELECT 1 FROM contact WHERE lead_id IS NOT NULL LIMIT 1")
        return found is not None


_UNTRIED = "SELECT key, hubspot_id, lead FROM sendable_contact WHERE tries = 0"
_OF_UNTRIED = "FROM contact WHERE state = 'mapped' AND held IS NULL AND gone IS NULL AND tries = 0"
_NEXT_TO_SEND = "SELECT key, hubspot_id, lead FROM sendable_contact WHERE key > :after"
