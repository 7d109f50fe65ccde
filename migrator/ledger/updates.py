"""
What LeadGenius was told of sent contacts (the base), and what HubSpot has for them now.

`contact.lead` of a sent contact is the base: what LeadGenius was last told and took. `new_lead` is
the lead that HubSpot would give now, where it differs.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.canonical_json import canonical_json
from migrator.clock import awake_or_asleep, boot_id
from migrator.hold_details import HoldDetail
from migrator.ledger.database import Database, now_ms
from migrator.ledger.holds import decisions_where, hold_duplicates_of, stored
from migrator.ledger.reconcile import LeadIdentity
from migrator.states import Hold

READ_AT_ONCE = 1_000


@dataclass(frozen=True)
class ChangedContact:
    """
    A sent contact that an update has to compare.

    Args:
        base: What LeadGenius was last told of the lead, and took.
        new: The lead that HubSpot would give now; `None` = as `base`, or HubSpot has no usable one.
        is_adopted: Whether the lead was not created by a send of this ledger.
        told: Names of the fields that updates have written since.
        is_unusable: Whether HubSpot has it without a usable e-mail now.
        differs: Names of fields that `verify` holds as different.
        predecessors: HubSpot's ids of contacts that were merged into it.
    """

    key: int
    hubspot_id: str
    lead_id: str
    base: Mapping[str, Any]
    new: Mapping[str, Any] | None
    decided: Mapping[str, Any] | None
    is_adopted: bool
    told: frozenset[str]
    is_unusable: bool
    differs: tuple[str, ...]
    predecessors: frozenset[str]


@dataclass(frozen=True)
class UpdateTaken:
    """An update that LeadGenius took: its lead, what it sent, and what was there before."""

    key: int
    lead_id: str
    fields: Mapping[str, Any]
    before: Mapping[str, Any]


class Updates:
    """Questions about and changes of the base and the newer lead of sent contacts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def follow(self, taken: Sequence[tuple[int, Mapping[str, Any], str | None]]) -> None:
        """
        Store the base after updates that LeadGenius took, and have their leads verified again.

        Unsent contacts with the new e-mail are held as duplicates.

        Args:
            taken: Of each contact its key, the base, and its new e-mail, normalised, if it has one.
        """
        changes = [
            {"key": key, "lead": canonical_json(base), "email_key": email_key}
            for key, base, email_key in taken
        ]
        for state in ("", "state = 'posted', edited = NULL, "):
            self._database.execute(
                f"UPDATE contact SET {state}lead = :lead, "
                "new_lead = nullif(new_lead, :lead), "
                "changed_ms = iif(new_lead = :lead, NULL, changed_ms), decided = NULL, "
                "email_key = ifnull(:email_key, email_key), tries = 0, "
                # What LeadGenius did not take before.
                "held = iif(held IN ('refused', 'gave_up'), NULL, held), "
                "detail = iif(held IN ('refused', 'gave_up'), NULL, detail) "
                f"WHERE key = :key AND state = '{'verified' if state else 'posted'}'",
                changes,
            )
        for key, _, email_key in taken:
            if email_key is not None:
                hold_duplicates_of(self._database, key)

    # What is due

    def count_due(self, keys: Collection[int] | None, *, decides: bool) -> int:
        """How many contacts `due` would return."""
        condition, params = _due(keys, decides=decides)
        row = self._database.one(f"SELECT count(*) AS n FROM contact WHERE {condition}", **params)
        return int(row.n)

    def due(
        self, lead_ids: Sequence[str], keys: Collection[int] | None, *, decides: bool
    ) -> list[ChangedContact]:
        """
        The contacts with one of these leads that an update has to compare, in HubSpot's order.

        Args:
            keys: Only these; `None` = all.
            decides: Whether those that `verify` holds as different are to be decided, too.
        """
        condition, params = _due(keys, decides=decides)
        return self._database.read(
            ChangedContact,
            "SELECT key, hubspot_id, lead_id, lead, new_lead, decided, "
            f"NOT {_IS_OURS}, {_TOLD}, changed_ms IS NOT NULL AND new_lead IS NULL, "
            "iif(held = 'different', replace(detail ->> '$', ', ', ','), ''), "
            "(SELECT json_group_array(hubspot_id) FROM contact AS before "
            "WHERE before.succeeded_by = contact.key) "
            f"FROM contact WHERE {condition} "
            "AND lead_id IN (SELECT value FROM json_each(:lead_ids)) ORDER BY key",
            lead_ids=json.dumps(list(lead_ids)),
            **params,
        )

    def due_ids(self, keys: Collection[int] | None, *, decides: bool) -> Iterator[tuple[int, str]]:
        """Key and lead of all of them, in HubSpot's order."""
        after = 0
        condition, params = _due(keys, decides=decides)
        while rows := self._database.rows(
            f"SELECT key, lead_id FROM contact WHERE {condition} AND key > :after "
            "ORDER BY key LIMIT :limit",
            **params,
            after=after,
            limit=READ_AT_ONCE,
        ):
            yield from ((row.key, row.lead_id) for row in rows)
            after = rows[-1].key

    def base(self, key: int) -> Mapping[str, Any]:
        """What LeadGenius was last told of a contact's lead."""
        row = self._database.one("SELECT lead FROM contact WHERE key = :key", key=key)
        return dict(self._database.decoded(row.lead) or {})

    def has_other_lead(self, key: int, email_key: str) -> bool:
        """Whether another contact with this e-mail has a lead, but for those merged into this."""
        found = self._database.one(
            "SELECT 1 FROM contact WHERE email_key = :email_key AND key <> :key "
            "AND lead_id IS NOT NULL AND (merged_into IS NULL "
            "OR merged_into <> (SELECT hubspot_id FROM contact WHERE key = :key)) LIMIT 1",
            email_key=email_key,
            key=key,
        )
        return found is not None

    def unknown_emails(self, page: Sequence[LeadIdentity]) -> frozenset[str]:
        """The e-mails of listed leads whose record lines name no contact of this ledger."""
        named = [
            (lead.lead_id, lead.email_key, sorted(lead.hubspot_ids))
            for lead in page
            if lead.hubspot_ids and lead.email_key is not None and not lead.is_removed
        ]
        rows = self._database.rows(_UNKNOWN, named=json.dumps(named)) if named else ()
        return frozenset(row.email_key for row in rows)

    # What follows

    def write_comparison(
        self,
        key: int,
        base: Mapping[str, Any],
        conflicts: Mapping[str, Mapping[str, str | None]],
        kept: Sequence[str],
        overrode: Collection[str],
        email_key: str | None,
    ) -> None:
        """
        Store what a look at a contact's lead has shown; if it has a new e-mail, as `follow`.

        Args:
            base: What LeadGenius was told, including values that were found to be there.
            conflicts: By field, `{"sent", "there", "new"}`; empty = none, so the contact is freed.
            kept: Fields that keep what is there although it was not told: people's edits.
            overrode: Fields that are still to be written as a person decided; other decisions are
                carried out, or were about another value.
            email_key: The e-mail of the base, normalised; `None` = as before.
        """
        detail = stored(HoldDetail.CONFLICT.of(fields=conflicts)) if conflicts else None
        with self._database.transaction():
            has_changed = self._database.execute(
                "UPDATE contact SET lead = :lead, new_lead = nullif(new_lead, :lead), "
                "changed_ms = iif(new_lead = :lead, NULL, changed_ms), "
                "email_key = ifnull(:email_key, email_key) WHERE key = :key AND lead <> :lead",
                {"key": key, "lead": canonical_json(base), "email_key": email_key},
            )
            if has_changed:
                hold_duplicates_of(self._database, key)
            self._database.run(
                f"UPDATE contact SET decided = {decisions_where(_IS_OVERRODE)} "
                "WHERE key = :key AND decided IS NOT NULL",
                {"key": key, "overrode": json.dumps(list(overrode))},
            )
            self._database.run(
                "UPDATE contact SET held = :held, detail = :detail WHERE key = :key "
                "AND (held IS NULL OR held IN ('conflict', 'different')) "
                "AND NOT (held IS :held AND detail IS :detail) "
                "AND (:held IS NOT NULL OR held = 'conflict')",
                {"key": key, "held": Hold.CONFLICT if conflicts else None, "detail": detail},
            )
            if kept:
                self._database.run(
                    "UPDATE contact SET state = 'verified', edited = :kept, "
                    "held = iif(held = 'different', NULL, held), "
                    "detail = iif(held = 'different', NULL, detail) "
                    "WHERE key = :key AND state = 'posted' "
                    "AND (held IS NULL OR held IN ('conflict', 'different'))",
                    {"key": key, "kept": ", ".join(kept)},
                )

    def hold_missing(self, key: int) -> bool:
        """Hold a contact whose lead a complete listing does not show; `False` = it is held."""
        row = self._database.one("SELECT lead_id FROM contact WHERE key = :key", key=key)
        return bool(
            self._database.execute(
                "UPDATE contact SET held = 'missing', detail = :detail, edited = NULL "
                "WHERE key = :key AND (held IS NULL OR held IN ('conflict', 'different'))",
                {"key": key, "detail": stored(HoldDetail.NOT_LISTED.of(lead=row.lead_id))},
            )
        )

    # What the service does with updates

    def replaces(self) -> bool | None:
        """Whether an update empties fields that it does not name; `None` = not found out yet."""
        row = self._database.one("SELECT put_replaces FROM ledger")
        return None if row.put_replaces is None else bool(row.put_replaces)

    def set_replaces(self, *, does: bool) -> None:
        """Store that."""
        self._database.execute("UPDATE ledger SET put_replaces = :does", {"does": int(does)})

    def is_canary_passed(self) -> bool:
        """Whether the first updates were read back."""
        return self._database.one("SELECT update_canary_ms AS at FROM ledger").at is not None

    def set_canary_passed(self) -> None:
        """Store that."""
        self._database.execute("UPDATE ledger SET update_canary_ms = :now", {"now": now_ms()})

    def taken(self, limit: int, *, since_run: int = 0) -> list[UpdateTaken]:
        """
        The newest updates that LeadGenius took, of each lead its last one.

        Args:
            since_run: Only those of this run or a later one.
        """
        return self._database.read(
            UpdateTaken,
            "SELECT contact_key, lead_id, fields, before FROM attempt AS one "
            f"WHERE {_IS_TAKEN} AND run_id >= :since_run AND NOT EXISTS (SELECT 1 FROM attempt "
            f"WHERE {_IS_TAKEN} AND lead_id = one.lead_id AND (run_id, number) > "
            "(one.run_id, one.number)) ORDER BY run_id DESC, settled_ms DESC, contact_key "
            "LIMIT :limit",
            limit=limit,
            since_run=since_run,
        )

    def is_repeated(self) -> bool:
        """Whether LeadGenius took more than one update of a lead."""
        found = self._database.one(
            f"SELECT 1 FROM attempt WHERE {_IS_TAKEN} GROUP BY lead_id HAVING count(*) > 1 LIMIT 1"
        )
        return found is not None

    def seconds_to_settle(self, settle_seconds: float) -> float:
        """How long until every answered write must be listed; 0 = it must be by now."""
        row = self._database.one("SELECT written_boot AS boot, written_at AS at FROM ledger")
        if row.boot is None:
            return 0.0
        if row.boot != boot_id() or not row.boot:
            return settle_seconds
        return max(0.0, float(row.at) + settle_seconds - awake_or_asleep())


def _due(keys: Collection[int] | None, *, decides: bool) -> tuple[str, dict[str, Any]]:
    """The condition of a contact that is due, and its parameters."""
    if keys is None:
        return _IS_DUE, {"decides": decides}
    among = " AND key IN (SELECT value FROM json_each(:keys))"
    return _IS_DUE + among, {"decides": decides, "keys": json.dumps(sorted(keys))}


_IS_DUE = (
    "lead_id IS NOT NULL AND gone IS NULL "
    "AND (changed_ms IS NOT NULL OR (held IS NOT NULL AND held = 'conflict') "
    "OR (held IS NOT NULL AND held = 'different' AND (:decides OR decided IS NOT NULL)))"
)
_IS_OVERRODE = "one.key IN (SELECT value FROM json_each(:overrode))"
_IS_TAKEN = "lead_id IS NOT NULL AND kind = 'update' AND outcome IN ('updated', 'found')"
# Its attempts, and those of the contacts whose lead it took over.
_OF_ITS_LEAD = (
    "attempt.lead_id = contact.lead_id AND contact_key IN (SELECT contact.key UNION ALL "
    "SELECT before.key FROM contact AS before WHERE before.succeeded_by = contact.key)"
)
_IS_OURS = (
    "EXISTS (SELECT 1 FROM attempt WHERE kind = 'create' AND outcome IN ('created', 'found') "
    f"AND {_OF_ITS_LEAD})"
)
_TOLD = (
    "(SELECT json_group_array(DISTINCT told.key) FROM attempt, json_each(fields) AS told "
    f"WHERE kind = 'update' AND outcome IN ('updated', 'found') AND {_OF_ITS_LEAD})"
)
_UNKNOWN = """
SELECT DISTINCT json_extract(named.value, '$[1]') AS email_key FROM json_each(:named) AS named
WHERE NOT EXISTS (SELECT 1 FROM contact WHERE lead_id = json_extract(named.value, '$[0]'))
    AND NOT EXISTS (SELECT 1 FROM json_each(named.value, '$[2]') AS one
        JOIN contact ON contact.hubspot_id = one.value)
"""
