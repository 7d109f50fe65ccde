"""The contacts that `undo` takes back, and how they move (the contract, section 4)."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.ledger.database import Database
from migrator.ledger.holds import GONE_DETAIL, IS_AT_REST

READ_AT_ONCE = 1_000


@dataclass(frozen=True)
class UndoChoice:
    """
    The contacts to take back; what is given narrows the choice.

    Args:
        keys: Only these contacts; `None` = all.
        run_id: Only those whose lead was created by this run.
        is_gone: Only those that HubSpot has no more.
    """

    keys: frozenset[int] | None = None
    run_id: int | None = None
    is_gone: bool = False


@dataclass(frozen=True)
class SentContact:
    """
    A contact with a lead.

    Args:
        base: What LeadGenius was last told of the lead, and took.
        is_adopted: Whether no send of this ledger created the lead.
        made_status: The lead's `status` when it was created; `None` = not known.
        is_open: Whether a write of it is in doubt.
    """

    key: int
    hubspot_id: str
    lead_id: str
    base: Mapping[str, Any]
    is_adopted: bool
    made_status: str | None
    is_open: bool


@dataclass(frozen=True)
class UnsentContact:
    """A contact without a lead; `is_open` = its send is in doubt."""

    hubspot_id: str
    is_open: bool


class Undoing:
    """Questions about contacts to take back, and the changes once their leads are gone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # What is chosen

    def chosen(self, choice: UndoChoice, lead_ids: Collection[str]) -> list[SentContact]:
        """The chosen contacts that have one of these leads."""
        condition, params = _condition(choice)
        return self._database.read(
            SentContact,
            f"SELECT {_SENT} FROM contact WHERE {condition} "
            "AND lead_id IN (SELECT value FROM json_each(:lead_ids)) ORDER BY key",
            **params,
            lead_ids=json.dumps(list(lead_ids)),
        )

    def contacts(self, keys: Collection[int]) -> list[SentContact]:
        """These contacts, as far as they have a lead, in HubSpot's order."""
        return self._database.read(
            SentContact,
            f"SELECT {_SENT} FROM contact WHERE lead_id IS NOT NULL "
            "AND key IN (SELECT value FROM json_each(:keys)) ORDER BY key",
            keys=json.dumps(list(keys)),
        )

    def has_chosen(self, choice: UndoChoice) -> bool:
        """Whether a contact with a lead is chosen."""
        condition, params = _condition(choice)
        row = self._database.one(f"SELECT 1 FROM contact WHERE {condition} LIMIT 1", **params)
        return row is not None

    def all_chosen(self, choice: UndoChoice) -> Iterator[list[SentContact]]:
        """All chosen contacts with a lead, in HubSpot's order, some at a time."""
        condition, params = _condition(choice)
        after = 0
        while found := self._database.read(
            SentContact,
            f"SELECT {_SENT} FROM contact WHERE {condition} AND key > :after "
            "ORDER BY key LIMIT :limit",
            **params,
            after=after,
            limit=READ_AT_ONCE,
        ):
            yield found
            after = found[-1].key

    def unsent(self, keys: Collection[int]) -> list[UnsentContact]:
        """Those of these contacts that have no lead."""
        return self._database.read(
            UnsentContact,
            f"SELECT hubspot_id, NOT {IS_AT_REST} FROM contact WHERE lead_id IS NULL "
            "AND key IN (SELECT value FROM json_each(:keys)) ORDER BY key",
            keys=json.dumps(list(keys)),
        )

    def records(self, hubspot_ids: Collection[str]) -> dict[str, int]:
        """The keys of the contacts whose leads carry these ids on their record lines."""
        rows = self._database.rows(
            "SELECT hubspot_id, key FROM record_owner "
            "WHERE hubspot_id IN (SELECT value FROM json_each(:ids))",
            ids=json.dumps(list(hubspot_ids)),
        )
        return {row.hubspot_id: row.key for row in rows}

    def owned(self, lead_ids: Collection[str]) -> frozenset[str]:
        """Those of these leads that are a contact's."""
        rows = self._database.rows(
            "SELECT lead_id FROM contact WHERE lead_id IN (SELECT value FROM json_each(:ids))",
            ids=json.dumps(list(lead_ids)),
        )
        return frozenset(row.lead_id for row in rows)

    # What is known of LeadGenius

    def usual_status(self) -> str | None:
        """The `status` of all leads when they were created; `None` = not known, or it varies."""
        rows = self._database.rows(
            "SELECT DISTINCT made_status AS status FROM attempt "
            "WHERE made_status IS NOT NULL LIMIT 2"
        )
        return str(rows[0].status) if len(rows) == 1 else None

    def has_deleted(self) -> bool:
        """Whether LeadGenius ever took a delete of this ledger."""
        found = self._database.one(
            "SELECT 1 FROM attempt WHERE kind <> 'create' AND lead_id IS NOT NULL "
            f"AND {_IS_DELETED} LIMIT 1"
        )
        return found is not None

    def deleted(self, lead_ids: Collection[str]) -> frozenset[str]:
        """Those of these leads that LeadGenius said it deleted."""
        rows = self._database.rows(
            "SELECT DISTINCT lead_id FROM attempt WHERE kind <> 'create' AND lead_id IS NOT NULL "
            f"AND {_IS_DELETED} AND lead_id IN (SELECT value FROM json_each(:ids))",
            ids=json.dumps(list(lead_ids)),
        )
        return frozenset(row.lead_id for row in rows)

    # What follows

    def conclude(self, gone: Iterable[tuple[int, str]]) -> None:
        """
        Follow leads that a listing showed to be gone: (contact, lead).

        A contact whose own lead it was is undone, or held as gone if HubSpot has it no more. Its
        lead is kept as it would be sent, unless HubSpot has changed it meanwhile. A further lead of
        a contact is only remembered.
        """
        rows = [{"key": key, "lead_id": lead_id} for key, lead_id in gone]
        with self._database.transaction():
            for statement in _UNDO:
                self._database.execute(statement, rows)

    def free_doubled(self, keys: Iterable[int]) -> None:
        """Free contacts that were held because they had several leads."""
        self._database.execute(
            "UPDATE contact SET held = NULL, detail = NULL "
            "WHERE key = :key AND held IS NOT NULL AND held = 'doubled'",
            [{"key": key} for key in keys],
        )

    def replace_lead(self, key: int, lead_id: str) -> None:
        """Make another lead with its record line the contact's own, to be verified."""
        row = {"key": key, "lead_id": lead_id}
        with self._database.transaction():
            for statement in _REPLACE:
                self._database.run(statement, row)


def _condition(choice: UndoChoice) -> tuple[str, dict[str, Any]]:
    """The SQL condition of a choice, and its parameters."""
    params: dict[str, Any] = {}
    conditions = ["lead_id IS NOT NULL"]
    if choice.keys is not None:
        conditions.append("key IN (SELECT value FROM json_each(:keys))")
        params["keys"] = json.dumps(sorted(choice.keys))
    if choice.run_id is not None:
        conditions.append(f"EXISTS (SELECT 1 {_MADE} AND run_id = :run_id)")
        params["run_id"] = choice.run_id
    if choice.is_gone:
        conditions.append("gone IS NOT NULL")
    return " AND ".join(conditions), params


# The attempt that created a contact's lead; after a merge it may be the predecessor's.
_MADE = (
    "FROM attempt WHERE kind = 'create' AND outcome IN ('created', 'found') "
    "AND attempt.lead_id = contact.lead_id AND contact_key IN (SELECT contact.key UNION ALL "
    "SELECT before.key FROM contact AS before WHERE before.succeeded_by = contact.key)"
)
_SENT = (
    f"key, hubspot_id, lead_id, lead, NOT EXISTS (SELECT 1 {_MADE}), "
    f"(SELECT made_status {_MADE}), NOT {IS_AT_REST}"
)
_IS_DELETED = "kind = 'delete' AND outcome IN ('deleted', 'found')"

_REMEMBER = "ON CONFLICT DO UPDATE SET contact_key = excluded.contact_key"
_UNDO: Sequence[str] = (
    f"INSERT INTO former_lead VALUES (:lead_id, :key) {_REMEMBER}",
    "DELETE FROM seen_lead WHERE lead_id = :lead_id",
    "UPDATE contact SET state = 'mapped', lead_id = NULL, held = iif(gone IS NULL, 'undone', "
    f"'gone'), detail = {GONE_DETAIL}, edited = NULL, new_lead = NULL, decided = NULL, tries = 0, "
    "unproven = 0 WHERE key = :key AND lead_id = :lead_id AND state IN ('posted', 'verified')",
)
_REPLACE: Sequence[str] = (
    "INSERT INTO former_lead SELECT lead_id, key FROM contact WHERE key = :key "
    f"AND lead_id IS NOT NULL {_REMEMBER}",
    "DELETE FROM former_lead WHERE lead_id = :lead_id",
    "UPDATE contact SET state = 'posted', edited = NULL WHERE key = :key AND state = 'verified'",
    "UPDATE contact SET lead_id = :lead_id, held = NULL, detail = NULL "
    "WHERE key = :key AND state = 'posted'",
)
