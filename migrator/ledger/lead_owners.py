"""
Whose leads the leads of a listing are (design, I4).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from migrator.ledger.database import Database
from migrator.ledger.reconcile import LeadIdentity


class MatchedContact(NamedTuple):
    """
    The contact that a listed lead belongs to.

    Args:
        lead_id: The contact's lead in the ledger; `None` = it has none.
        lead: What was or would be sent; `None` = not mapped.
        is_in_doubt: Whether a send is open.
        updates: `{"fields", "before"}` of the updates of its lead that were taken since it was
            verified last, in their order.
        was_verified: Whether it, or a contact that had its lead before, was verified before them.
    """

    key: int
    lead_id: str | None
    lead: Mapping[str, Any] | None
    is_in_doubt: bool
    updates: Sequence[Mapping[str, Mapping[str, Any]]] = ()
    was_verified: bool = False


def owners_by_id(database: Database, lead_ids: Sequence[str]) -> dict[str, MatchedContact]:
    """The contacts that have these leads in the ledger, by lead id; other leads are left out."""
    return _matched(
        database,
        f"SELECT value, {_OWNER} FROM json_each(:ids) JOIN contact ON contact.lead_id = value",
        ids=json.dumps(lead_ids),
    )


def owners(database: Database, page: Sequence[LeadIdentity]) -> dict[str, MatchedContact]:
    """
    The contacts that the leads of a page belong to, by lead id; other leads are left out.

    A lead belongs to the contact that has its id, else to the one that had it before, else to
    the one that its record line names, else, if it has no line of any portal, to the one with
    its e-mail, unless such leads were there before us (design, I4). A contact that was never
    sent owns no lead by its e-mail.
    """
    return _matched(
        database,
        f"SELECT listed.lead_id, {_OWNER} FROM {_PAGE} AS listed JOIN contact ON contact.key = "
        "coalesce((SELECT key FROM contact AS own WHERE own.lead_id = listed.lead_id),"
        "(SELECT contact_key FROM former_lead WHERE lead_id = listed.lead_id),"
        "(SELECT own.key FROM record_owner AS named JOIN contact AS own ON own.key = named.key "
        "WHERE named.hubspot_id IN (SELECT value FROM json_each(listed.hubspot_ids)) "
        "ORDER BY own.lead_id IS NOT NULL, own.key LIMIT 1),"
        # Very many contacts may share an e-mail: the first one with a lead.
        f"CASE WHEN {_HAS_NO_LINE} THEN "
        "(SELECT key FROM contact AS own WHERE own.email_key = listed.email_key "
        "AND own.lead_id IS NOT NULL AND foreign_lead_id IS NULL ORDER BY key LIMIT 1) END,"
        f"CASE WHEN {_HAS_NO_LINE} AND NOT listed.shows_notes THEN "
        "(SELECT key FROM contact AS own WHERE own.email_key = listed.email_key "
        "AND own.lead_id IS NULL AND ifnull(foreign_lead_id, listed.lead_id) = listed.lead_id "
        "AND EXISTS (SELECT 1 FROM attempt WHERE contact_key = own.key) LIMIT 1) END)",
        page=json.dumps([{**vars(one), "hubspot_ids": sorted(one.hubspot_ids)} for one in page]),
    )


def _matched(database: Database, sql: str, **page: str) -> dict[str, MatchedContact]:
    found = {}
    for listed, key, lead_id, lead, is_open, updates, was_verified in database.rows(sql, **page):
        told = database.decoded(lead)
        taken = _still_told(database.decoded(updates) or (), told or {})
        found[listed] = MatchedContact(key, lead_id, told, bool(is_open), taken, bool(was_verified))
    return found


def _still_told(
    updates: Sequence[Mapping[str, Any]], told: Mapping[str, Any]
) -> Sequence[Mapping[str, Mapping[str, Any]]]:
    """Updates with those of their fields of which LeadGenius was not told otherwise since."""
    return tuple(
        {
            "fields": {
                name: value
                for name, value in one["fields"].items()
                if (one["base"] or told).get(name) == told.get(name)
            },
            "before": one["before"],
        }
        for one in updates
    )


# Where it is posted, and its lead may have been verified before: most ledgers have no updates, no
# deletes and no merges, so their partial indexes are empty.
_IS_SENT_AGAIN = (
    "contact.state = 'posted' AND (EXISTS (SELECT 1 FROM attempt "
    "WHERE attempt.lead_id = contact.lead_id AND kind <> 'create') "
    "OR (EXISTS (SELECT 1 FROM contact WHERE succeeded_by IS NOT NULL) "
    "AND EXISTS (SELECT 1 FROM contact AS before WHERE before.succeeded_by = contact.key)))"
)
# The times when its present lead was verified, which may have been a predecessor's then.
_VERIFIED = (
    "FROM event AS verified WHERE target = 'verified' AND contact_key IN (SELECT contact.key "
    "UNION ALL SELECT before.key FROM contact AS before WHERE before.succeeded_by = contact.key "
    "AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.contact_key = contact.key "
    "AND kind = 'create' AND attempt.lead_id = contact.lead_id)) AND number > "
    "(SELECT max(number) FROM event AS sent WHERE sent.contact_key = verified.contact_key "
    "AND sent.source = 'mapped' AND sent.target = 'posted')"
)
# A verification that did not verify the contact settles nothing about its updates. The runs count
# as well as the times because a clock may have been set back.
_UPDATES = (
    f"CASE WHEN {_IS_SENT_AGAIN} THEN "
    "(SELECT json_group_array(json_object('fields', json(fields), 'before', json(before), "
    "'base', json(base))) FROM (SELECT fields, before, base FROM attempt "
    "WHERE attempt.lead_id = contact.lead_id AND kind <> 'create' AND kind = 'update' "
    "AND outcome IN ('updated', 'found') AND (run_id > (SELECT ifnull(max(id), 0) FROM run_command "
    "WHERE command = 'verify' AND exit_code IN (0, 1)) "
    f"OR sent_ms >= (SELECT ifnull(max(at_ms), 0) {_VERIFIED})) ORDER BY run_id, number)) END"
)
_WAS_VERIFIED = f"CASE WHEN {_IS_SENT_AGAIN} THEN EXISTS (SELECT 1 {_VERIFIED}) ELSE 0 END"
_OWNER = (
    "contact.key, contact.lead_id, contact.lead, "
    "EXISTS (SELECT 1 FROM open_attempt WHERE contact_key = contact.key), "
    f"{_UPDATES}, {_WAS_VERIFIED}"
)
_PAGE = (
    "(SELECT json_extract(value, '$.lead_id') AS lead_id, "
    "json_extract(value, '$.email_key') AS email_key, "
    "json_extract(value, '$.hubspot_ids') AS hubspot_ids, "
    "json_extract(value, '$.names_others') AS names_others, "
    "json_extract(value, '$.shows_notes') AS shows_notes FROM json_each(:page))"
)
_HAS_NO_LINE = "json_array_length(listed.hubspot_ids) = 0 AND NOT listed.names_others"
