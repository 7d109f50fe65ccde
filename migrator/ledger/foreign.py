"""
Foreign leads: those with our portal's record line that no send of this ledger can have made.

They tell that another ledger sends, or sent, into the same client (the contract, section 5). Those
that a quiet look has shown are noted and tell nothing more.
"""

import json
from collections.abc import Collection, Sequence

from migrator.ledger.database import Database
from migrator.ledger.reconcile import LeadIdentity

# A lead is foreign by each contact that its line names. A further lead of a contact that was in
# doubt is none: the send that was given up has arrived after all, and `verify` names it (doubled).
_FOREIGN = """
SELECT DISTINCT json_extract(value, '$[0]') AS lead_id
FROM json_each(:named)
    LEFT JOIN contact AS named ON named.hubspot_id = json_extract(value, '$[1]')
    LEFT JOIN contact ON contact.key = (
        SELECT key FROM record_owner WHERE record_owner.hubspot_id = named.hubspot_id)
WHERE NOT EXISTS (SELECT 1 FROM contact AS owner
        WHERE owner.lead_id = json_extract(value, '$[0]'))
    AND NOT EXISTS (SELECT 1 FROM former_lead WHERE lead_id = json_extract(value, '$[0]'))
    AND NOT EXISTS (SELECT 1 FROM foreign_lead WHERE lead_id = json_extract(value, '$[0]'))
    AND (
        contact.key IS NULL
        OR contact.lead_id IS NULL AND NOT EXISTS (
            SELECT 1 FROM attempt WHERE contact_key IN (named.key, contact.key))
        OR contact.lead_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM attempt WHERE contact_key IN (named.key, contact.key)
            AND (outcome IS NULL OR outcome IN ('found', 'absent')))
    )
"""


class ForeignLeads:
    """Questions about and notes of foreign leads. Each method is one transaction or joins one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def among(self, page: Sequence[LeadIdentity]) -> frozenset[str]:
        """
        The ids of the foreign leads of a listed page that no quiet look has noted.

        A lead that is marked as deleted is not there, so it is none.
        """
        named = [
            (lead.lead_id, hubspot_id)
            for lead in page
            if not lead.is_removed
            for hubspot_id in sorted(lead.hubspot_ids)
        ]
        if not named:
            return frozenset()
        rows = self._database.rows(_FOREIGN, named=json.dumps(named))
        return frozenset(row.lead_id for row in rows)

    def note(self, lead_ids: Collection[str]) -> None:
        """Remember that a quiet look has shown these leads, but for those that were adopted."""
        self._database.execute(
            "INSERT INTO foreign_lead SELECT :lead_id "
            "WHERE NOT EXISTS (SELECT 1 FROM contact WHERE lead_id = :lead_id) "
            "ON CONFLICT DO NOTHING",
            [{"lead_id": lead_id} for lead_id in sorted(lead_ids)],
        )
