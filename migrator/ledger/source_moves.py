"""
What HubSpot has no more: contacts that were archived, erased or merged, and who takes over a lead.

A contact that is gone has a mark. If it has no lead, it is held and never sent. If it has one, the
lead stays, and passes on to the record that the contact was merged into, or else to a contact that
waited because of its e-mail: the successor becomes posted with that lead, and its own lead becomes
the new one, for an update. The predecessor's record line then names the successor (`record_owner`).

A send in doubt is settled first: until then its contact only has the mark, and the record that it
was merged into is not sent (`waiting_successor`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from migrator.ledger.database import Database, now_ms
from migrator.ledger.holds import GONE_DETAIL, IS_AT_REST, Holds
from migrator.ledger.lookup import GoneContact


class SourceMoves:
    """Changes that follow from what HubSpot has no more. Each is one transaction or joins one."""

    def __init__(self, database: Database, holds: Holds) -> None:
        self._database = database
        self._holds = holds

    def unmet(self, scan: int, after: int, limit: int) -> list[tuple[int, str]]:
        """The next contacts (key, HubSpot's id) after a key that a scan did not meet."""
        rows = self._database.rows(
            "SELECT key, hubspot_id FROM contact "
            "WHERE key > :after AND scan <> :scan AND gone IS NULL ORDER BY key LIMIT :limit",
            scan=scan,
            after=after,
            limit=limit,
        )
        return [(row.key, row.hubspot_id) for row in rows]

    def note_gone(self, contacts: Iterable[GoneContact]) -> int:
        """Mark contacts as gone, and hold those without a lead; returns how many are newly so."""
        with self._database.transaction():
            rows = [one._asdict() for one in contacts]
            marked = self._database.execute(
                "UPDATE contact SET gone = :why, merged_into = :into "
                "WHERE hubspot_id = :hubspot_id AND gone IS NULL",
                rows,
            )
            self._database.execute(f"{_HOLD} hubspot_id = :hubspot_id", rows)
        return marked

    def note_merged(self, merged: Mapping[str, Sequence[str]], scan: int) -> None:
        """
        Conclude what records say of themselves: they are what others were merged into.

        Args:
            merged: The ids of the former records, by the id of the record.
            scan: The current scan; if it lists a former record later, that is outdated.
        """
        if not merged:
            return
        rows = [
            {"into": into, "ids": json.dumps([one for one in ids if one != into]), "scan": scan}
            for into, ids in merged.items()
        ]
        with self._database.transaction():
            self._database.execute(
                "UPDATE contact SET gone = 'merged', merged_into = :into, scan = :scan "
                "WHERE hubspot_id IN (SELECT value FROM json_each(:ids)) "
                "AND (merged_into IS NOT :into OR scan <> :scan)",
                rows,
            )
            self._database.execute(
                f"{_HOLD} hubspot_id IN (SELECT value FROM json_each(:ids))", rows
            )
            self.pass_leads_on()

    def welcome_back(self, hubspot_ids: Sequence[str], scan: int) -> None:
        """
        Clear the mark of contacts that a scan lists again, and free them.

        Call it before the scan has met them, and after those without a lead are extracted again.
        One whose lead another contact has is held for it.
        """
        if not hubspot_ids:
            return
        back = "scan <> :scan AND hubspot_id IN (SELECT value FROM json_each(:ids))"
        ids = {"scan": scan, "ids": json.dumps(list(hubspot_ids))}
        self._database.run(
            "UPDATE contact SET held = iif(state = 'mapped', 'already_in_destination', NULL), "
            f"detail = iif(state = 'mapped', {_OWNED}, NULL) "
            f"WHERE held IS NOT NULL AND held = 'gone' AND {back}",
            ids,
        )
        self._database.run(
            "UPDATE contact SET gone = NULL, merged_into = NULL, succeeded_by = NULL "
            f"WHERE gone IS NOT NULL AND {back}",
            ids,
        )

    def hold_if_gone(self, key: int) -> bool:
        """Hold a contact that is gone, once its send is settled as absent; `False` = it is not."""
        is_gone = bool(self._database.execute(f"{_HOLD} key = :key", {"key": key}))
        if is_gone:
            self._holds.release_orphaned_duplicates()
        return is_gone

    def pass_leads_on(self) -> int:
        """
        Let the records that others were merged into succeed those that have a lead.

        A record without a lead takes the one that has its e-mail, else the first, in the order in
        which it names its former records. It waits while one of them is in doubt, and until it is
        mapped itself. Returns how many have succeeded.
        """
        with self._database.transaction():
            return self._succeed(_MERGED)

    def pass_leads_to_duplicates(self) -> int:
        """
        Let the first duplicate of each lead whose contact is gone succeed it, as after a merge.

        Call it once all contacts are mapped: the record that one was merged into comes first.
        """
        with self._database.transaction():
            return self._succeed(_WAITED)

    def _succeed(self, pairs: str) -> int:
        successors: set[int] = set()
        for row in self._database.rows(pairs):
            if row.successor not in successors:
                successors.add(row.successor)
                self._pass_on(row.old, row.successor)
        return len(successors)

    def _pass_on(self, old: int, new: int) -> None:
        lead = self._database.one(
            "SELECT lead_id, lead, email_key, foreign_lead_id, held, detail FROM contact "
            "WHERE key = :key",
            key=old,
        )
        values = {**lead._mapping, "old": old, "new": new, "now": now_ms()}
        for statement in _PASS_ON:
            self._database.run(statement, values)


_HOLD = (
    f"UPDATE contact SET held = 'gone', detail = {GONE_DETAIL}, unproven = 0, foreign_lead_id = "
    # If it comes back, a listing decides again.
    "iif(held IS 'already_in_destination', NULL, foreign_lead_id) "
    "WHERE gone IS NOT NULL AND lead_id IS NULL AND held IS NOT 'undone' "
    f"AND (held IS NOT 'gone' OR detail IS NOT {GONE_DETAIL}) AND {IS_AT_REST} AND"
)
_OWNED = (
    "(SELECT json_object('code', 'OWNED', 'lead', owner.lead_id, 'contact', owner.hubspot_id) "
    "FROM attempt JOIN contact AS owner USING (lead_id) WHERE contact_key = contact.key LIMIT 1)"
)
_MAY_SUCCEED = (
    "successor.state = 'mapped' AND successor.gone IS NULL AND successor.held IS NOT 'undone' "
    "AND successor.erased_ms IS NULL AND successor.key NOT IN open_attempt"
)
# The pairs, the preferred predecessor of each successor first.
_MERGED = f"""
SELECT old.key AS old, successor.key AS successor
FROM contact AS old INDEXED BY contact_merged
    JOIN contact AS successor ON successor.hubspot_id = old.merged_into
WHERE old.merged_into IS NOT NULL AND old.lead_id IS NOT NULL AND {_MAY_SUCCEED}
    AND NOT EXISTS (SELECT 1 FROM contact AS other JOIN open_attempt ON contact_key = other.key
        WHERE other.merged_into = successor.hubspot_id)
ORDER BY successor.key, old.email_key <> successor.email_key,
    instr(';' || ifnull(json_extract(successor.source, '$.properties.hs_merged_object_ids'), '')
        || ';', ';' || old.hubspot_id || ';'), old.key
"""
_WAITED = f"""
SELECT old.key AS old, (
    SELECT key FROM contact AS successor WHERE email_key = old.email_key
    AND held IS 'duplicate_email' AND {_MAY_SUCCEED} ORDER BY key LIMIT 1) AS successor
FROM contact AS old INDEXED BY contact_gone
WHERE gone IS NOT NULL AND lead_id IS NOT NULL AND successor IS NOT NULL
    AND key NOT IN open_attempt
    AND NOT EXISTS (SELECT 1 FROM contact AS living WHERE living.email_key = old.email_key
        AND living.lead_id IS NOT NULL AND living.gone IS NULL)
ORDER BY key
"""
_PASS_ON = (
    "UPDATE contact SET state = 'mapped', lead_id = NULL, edited = NULL, new_lead = NULL, "
    "changed_ms = NULL, decided = NULL, foreign_lead_id = NULL, succeeded_by = :new, "
    f"held = 'gone', detail = {GONE_DETAIL} WHERE key = :old",
    "UPDATE contact SET state = 'posted', lead_id = :lead_id, lead = :lead, "
    "new_lead = nullif(lead, :lead), changed_ms = iif(lead = :lead, NULL, :now), "
    "email_key = :email_key, foreign_lead_id = :foreign_lead_id, unproven = 0, "
    # What `verify` has found of the lead still holds.
    "held = iif(:held IN ('missing', 'different', 'doubled'), :held, NULL), "
    "detail = iif(:held IN ('missing', 'different', 'doubled'), :detail, NULL) WHERE key = :new",
    "UPDATE seen_lead SET contact_key = :new WHERE contact_key = :old",
    "UPDATE former_lead SET contact_key = :new WHERE contact_key = :old",
    "UPDATE contact SET succeeded_by = :new WHERE succeeded_by = :old",
)
