"""
What became of contacts since they were sent: changed or gone at HubSpot, in conflict, undone.

The queries read only the contacts that they return.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migrator.ledger.database import Database
from migrator.ledger.lookup import GONE_CONTACTS, GoneContact
from migrator.states import Hold

# SQLite's word for no limit.
ALL = -1


@dataclass(frozen=True)
class LeadVersions:
    """
    A sent contact whose lead would be another one now; both are without the client_id.

    Args:
        changed_ms: When that was seen.
        lead: What LeadGenius was last told.
        new_lead: What HubSpot would give now; `None` = it has no usable lead any more.
    """

    hubspot_id: str
    changed_ms: int
    lead: Mapping[str, Any]
    new_lead: Mapping[str, Any] | None


@dataclass(frozen=True)
class ConflictedContact:
    """
    A contact that is held until a person decides on some of its fields.

    Args:
        held: `conflict`, or `different` if `verify` held it.
        conflict: By field `{"sent", "there", "new"}`; `sent=None` = not known.
        decided: By field `{"there", "value"}`; `None` = nothing is decided yet.
    """

    hubspot_id: str
    held: Hold
    conflict: Mapping[str, Mapping[str, str | None]]
    decided: Mapping[str, Mapping[str, str]] | None


class SinceSent:
    """Queries only; each returns contacts in HubSpot's order, at most `limit`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def changed(self, limit: int = ALL) -> list[LeadVersions]:
        """Contacts whose lead would be another one now than was sent."""
        return self._database.read(
            LeadVersions,
            f"SELECT hubspot_id, changed_ms, lead, new_lead FROM contact WHERE {CHANGED} "
            "ORDER BY key LIMIT :limit",
            limit=limit,
        )

    def gone(self, limit: int = ALL) -> list[GoneContact]:
        """Contacts that HubSpot has no more, sent or not."""
        return self._gone("gone IS NOT NULL", limit)

    def gone_after_posting(self, limit: int = ALL) -> list[GoneContact]:
        """Those of them that have a lead."""
        return self._gone("gone IS NOT NULL AND +lead_id IS NOT NULL", limit)

    def _gone(self, condition: str, limit: int) -> list[GoneContact]:
        return self._database.read(
            GoneContact,
            f"{GONE_CONTACTS} WHERE {condition} ORDER BY key LIMIT :limit",
            limit=limit,
        )

    def gone_by_reason(self) -> dict[str, int]:
        """The number of contacts that HubSpot has no more, by `merged`, `archived`, `unknown`."""
        rows = self._database.rows(
            "SELECT gone, count(*) AS n FROM contact WHERE gone IS NOT NULL GROUP BY gone"
        )
        return {row.gone: row.n for row in rows}

    def conflicts(self, limit: int = ALL) -> list[ConflictedContact]:
        """Contacts that wait for a decision on a field."""
        return self._conflicted("held IN ('conflict', 'different')", limit=limit)

    def conflict(self, hubspot_id: str) -> ConflictedContact | None:
        """What is to be decided of one contact; `None` = nothing."""
        found = self._conflicted(
            "held IN ('conflict', 'different') AND hubspot_id = :hubspot_id",
            limit=1,
            hubspot_id=hubspot_id,
        )
        return found[0] if found else None

    def _conflicted(self, condition: str, **params: Any) -> list[ConflictedContact]:
        return self._database.read(
            ConflictedContact,
            f"SELECT hubspot_id, held, {CONFLICT}, decided FROM contact "
            f"WHERE held IS NOT NULL AND {condition} ORDER BY key LIMIT :limit",
            **params,
        )

    def undone(self, limit: int = ALL) -> list[str]:
        """HubSpot's ids of contacts whose lead was taken back."""
        rows = self._database.rows(
            "SELECT hubspot_id FROM contact WHERE held IS NOT NULL AND held = 'undone' "
            "ORDER BY key LIMIT :limit",
            limit=limit,
        )
        return [row.hubspot_id for row in rows]

    def versions(self, key: int) -> LeadVersions | None:
        """Both leads of one contact; `None` = they are the same."""
        found = self._database.read(
            LeadVersions,
            f"SELECT hubspot_id, changed_ms, lead, new_lead FROM contact WHERE key = :key "
            f"AND {CHANGED}",
            key=key,
        )
        return found[0] if found else None

    def predecessors(self, key: int) -> list[str]:
        """HubSpot's ids of the contacts whose lead a contact has taken over."""
        rows = self._database.rows(
            "SELECT hubspot_id FROM contact WHERE succeeded_by = :key ORDER BY key", key=key
        )
        return [row.hubspot_id for row in rows]

    def gone_missing(self) -> int:
        """Contacts that HubSpot has no more and whose lead, posted only, is missing."""
        row = self._database.one(
            "SELECT count(*) AS n FROM contact WHERE gone IS NOT NULL AND +held = 'missing' "
            "AND +state = 'posted'"
        )
        return int(row.n)

    def to_update(self) -> int:
        """
        Contacts that the next `update` may write.

        They changed since the last one that came to its end and left none to a `--limit`, `retry`
        was typed since then, and their update was refused, or a conflict of them is decided.
        """
        row = self._database.one(_TO_UPDATE)
        return int(row.n)


# An undone contact was taken back.
CHANGED = "changed_ms IS NOT NULL AND held IS NOT 'undone'"

_LAST = "ifnull((SELECT max(done.began_ms) FROM run_command AS done JOIN run USING (id) WHERE "
_TO_UPDATE = f"""
WITH done(at, retried) AS (SELECT
    {_LAST} done.command = 'update' AND done.exit_code IN (0, 1) AND ifnull(iif(
        run.command = 'run', run.counters -> '$.update', run.counters) ->> '$.to_send', 0) = 0), 0),
    {_LAST} done.command = 'retry' AND done.exit_code = 0), 0))
SELECT
    (SELECT count(*) FROM contact, done WHERE {CHANGED} AND gone IS NULL
        AND new_lead IS NOT NULL AND +held IS NULL AND (changed_ms > done.at OR
        (done.retried > done.at AND (SELECT outcome FROM attempt WHERE contact_key = contact.key
            ORDER BY number DESC LIMIT 1) IN ('refused', 'denied', 'absent'))))
    + (SELECT count(*) FROM contact WHERE gone IS NULL AND held IS NOT NULL
        AND held IN ('conflict', 'different') AND decided IS NOT NULL) AS n
"""

# The three values of each field that is to be decided, as JSON. Those of a contact that `verify`
# holds are from its last listing, which shows nothing of a field that it lacks.
CONFLICT = (
    "CASE WHEN held IS 'conflict' THEN detail -> '$.fields' WHEN held IS 'different' THEN "
    "(SELECT json_group_object(name.value, json_object("
    "'sent', ifnull(json_extract(lead, '$.' || name.value), ''), "
    "'there', ifnull(json_extract(seen_lead.there, '$.' || name.value), ''), "
    "'new', ifnull(json_extract(ifnull(new_lead, lead), '$.' || name.value), ''))) "
    "FROM seen_lead, json_each('[\"' || replace(detail ->> '$', ', ', '\",\"') || '\"]') AS name "
    "WHERE seen_lead.lead_id = contact.lead_id) END"
)
