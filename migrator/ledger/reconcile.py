"""
Reconciles contacts with the client's leads before the first send.

Leads with our record line are adopted; contacts whose e-mail a foreign lead has are held. Notes are
read elsewhere.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.hold_details import Detail, HoldDetail
from migrator.ledger.database import Database
from migrator.ledger.holds import IS_AT_REST, hold_duplicates_of, stored
from migrator.ledger.source_moves import SourceMoves
from migrator.states import Hold


@dataclass(frozen=True)
class LeadIdentity:
    """
    The identity of a listed lead (design, I4).

    Args:
        hubspot_ids: The contacts of this portal that its record lines name.
        email_key: Its e-mail, normalised; `None` = none.
        names_others: Whether it has a record line of another portal: its e-mail is ignored then.
        shows_notes: Whether the listing shows its notes; if not, it may be ours or not.
        is_removed: Whether LeadGenius marks it as deleted or as a duplicate: it does not count.
    """

    lead_id: str
    hubspot_ids: frozenset[str]
    email_key: str | None
    names_others: bool = False
    shows_notes: bool = True
    is_removed: bool = False


@dataclass(frozen=True)
class ListingMatches:
    """
    Keys of contacts that were not sent and that a push adopts or holds by a listing (design, I5).

    Args:
        ours: A lead has their record line: adopted.
        beaten: They share their e-mail with an adopted one: held as duplicates.
        foreign: A lead that is not ours has their e-mail: held.
    """

    ours: frozenset[int]
    beaten: frozenset[int]
    foreign: frozenset[int]


class Reconciliation:
    """Changes that follow from a listing."""

    def __init__(self, database: Database, moves: SourceMoves) -> None:
        self._database = database
        self._moves = moves

    def adopt(self, page: Sequence[LeadIdentity]) -> int:
        """
        Adopt the leads with our record line, and hold the contacts of those with only our e-mail.

        A contact whose lead is adopted becomes posted, so a rebuilt ledger posts nothing twice; so
        does one whose former lead is listed, even if it was changed since (design, I5). Contacts
        with an open attempt are left to `doubts`. A lead marked as deleted is only remembered.

        Returns:
            How many contacts were adopted.
        """
        there = [lead for lead in page if not lead.is_removed]
        with self._database.transaction():
            whose = [*self._former(there), *_with_line(there)]
            adopted = sum(self._adopt_for(*one) for one in whose)
            self._remember_removed([lead for lead in page if lead.is_removed])
            self._respect_foreign(there)
            self._remember_foreign(there)
            if adopted:
                self._moves.pass_leads_on()
        return adopted

    def _former(self, page: Sequence[LeadIdentity]) -> list[tuple[str, str]]:
        """(lead id, HubSpot's id) of the former leads of contacts."""
        rows = self._database.rows(
            "SELECT former_lead.lead_id, hubspot_id FROM former_lead "
            "JOIN contact ON key = contact_key "
            "WHERE former_lead.lead_id IN (SELECT value FROM json_each(:ids))",
            ids=json.dumps([lead.lead_id for lead in page]),
        )
        return [(row.lead_id, row.hubspot_id) for row in rows]

    def _adopt_for(self, lead_id: str, hubspot_id: str) -> int:
        contact = self._database.one(
            "SELECT key, (SELECT hubspot_id FROM contact WHERE lead_id = :lead_id) AS owner "
            "FROM record_owner AS named JOIN contact USING (key) "
            "WHERE named.hubspot_id = :hubspot_id AND state = 'mapped' "
            f"AND {IS_AT_REST}",
            hubspot_id=hubspot_id,
            lead_id=lead_id,
        )
        if contact is None:
            return 0
        if contact.owner is not None:
            # Two leads were merged in LeadGenius, and their notes with them.
            detail = HoldDetail.OWNED_WITH_LINE.of(lead=lead_id, contact=contact.owner)
            self._hold_for_lead("key = :key", [{"key": contact.key, **_held(lead_id, detail)}])
            return 0
        landed = self._database.execute(
            "UPDATE contact SET state = 'posted', lead_id = :lead_id, held = NULL, detail = NULL, "
            "unproven = 0 WHERE key = :key AND state = 'mapped'",
            {"key": contact.key, "lead_id": lead_id},
        )
        hold_duplicates_of(self._database, contact.key)
        return landed

    def _remember_removed(self, removed: Sequence[LeadIdentity]) -> None:
        self._database.execute(
            "INSERT INTO former_lead SELECT :lead_id, key FROM record_owner AS named "
            "JOIN contact USING (key) "
            f"WHERE named.hubspot_id = :hubspot_id AND {IS_AT_REST} ON CONFLICT DO NOTHING",
            [{"lead_id": lead, "hubspot_id": one} for lead, one in _with_line(removed)],
        )

    def _respect_foreign(self, page: Sequence[LeadIdentity]) -> None:
        self._hold_for_lead(
            "email_key = :email_key",
            [
                {"email_key": lead.email_key, **_held(lead.lead_id, _whose(lead))}
                for lead in page
                if lead.email_key is not None
            ],
        )

    def _remember_foreign(self, page: Sequence[LeadIdentity]) -> None:
        """
        Note leads with an adopted contact's e-mail but no line, as if they had been there first.

        The ledger does not have the order of their creation, and a listing does not show it.
        """
        self._database.execute(
            # Very many contacts may share an e-mail: the first one with a lead.
            "UPDATE contact SET foreign_lead_id = :lead_id "
            "WHERE key = (SELECT key FROM contact AS own "
            "WHERE own.email_key = :email_key AND own.lead_id IS NOT NULL ORDER BY key LIMIT 1) "
            "AND state = 'posted' AND held IS NULL "
            "AND foreign_lead_id IS NULL AND lead_id <> :lead_id "
            "AND NOT EXISTS (SELECT 1 FROM attempt WHERE contact_key = key "
            "AND attempt.lead_id = contact.lead_id)",
            [
                {"email_key": lead.email_key, "lead_id": lead.lead_id}
                for lead in page
                if lead.email_key is not None and not lead.hubspot_ids
            ],
        )

    def hold_unidentified(self, rows: Sequence[LeadIdentity]) -> None:
        """
        Hold contacts whose line or e-mail is on a row without an id, which cannot be adopted.
        """
        with self._database.transaction():
            self._hold_for_lead(
                "(email_key = :email_key OR "
                "key IN (SELECT named.key FROM record_owner AS named JOIN json_each(:hubspot_ids) "
                "ON named.hubspot_id = value))",
                [
                    {
                        **_held("", HoldDetail.LEAD_WITHOUT_ID.of()),
                        "email_key": row.email_key,
                        "hubspot_ids": json.dumps(sorted(row.hubspot_ids)),
                    }
                    for row in rows
                    if not row.is_removed
                ],
            )

    def _hold_for_lead(self, condition: str, rows: Sequence[dict[str, Any]]) -> None:
        self._database.execute(
            "UPDATE contact SET held = :held, foreign_lead_id = :lead_id, detail = :detail "
            f"WHERE {condition} AND state = 'mapped' AND held IS NULL "
            # A noted foreign lead means that the contact was held for it and then released.
            f"AND foreign_lead_id IS NULL AND {IS_AT_REST}",
            rows,
        )

    def hold_freed(self) -> int:
        """
        Hold contacts again that were freed although another lead has their e-mail.

        Returns:
            How many.
        """
        with self._database.transaction():
            held = self._database.run(
                "UPDATE contact SET held = 'already_in_destination', detail = "
                "json_object('code', 'FOREIGN', 'lead', foreign_lead_id) "
                "WHERE state = 'mapped' AND held IS NULL AND foreign_lead_id > '' "
                f"AND {IS_AT_REST}"
            )
        return int(held.rowcount)

    def match_listing(self, page: Sequence[LeadIdentity]) -> ListingMatches:
        """What `adopt` would do with these leads."""
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
                "WHERE state = 'mapped' AND held IS NULL AND foreign_lead_id IS NULL "
                f"AND {IS_AT_REST}",
                emails=json.dumps(sorted({one.email_key for one in there if one.email_key})),
            )
        return ListingMatches(
            ours,
            frozenset(row.key for row in beaten),
            others | frozenset(row.key for row in foreign),
        )

    def _by_line(self, page: Sequence[LeadIdentity]) -> tuple[frozenset[int], frozenset[int]]:
        """Contacts whose line is on a lead: those that get the lead, and others on the same one."""
        rows = self._database.rows(
            "SELECT json_extract(value, '$[0]') AS lead_id, contact.key, contact.held IS NULL "
            "AND contact.foreign_lead_id IS NULL AS is_free, EXISTS (SELECT 1 FROM contact "
            "AS owner WHERE owner.lead_id = json_extract(value, '$[0]')) AS is_owned "
            "FROM json_each(:named) JOIN record_owner AS named "
            "ON named.hubspot_id = json_extract(value, '$[1]') "
            "JOIN contact ON contact.key = named.key "
            "WHERE state = 'mapped' AND contact.erased_ms IS NULL "
            f"AND {IS_AT_REST} ORDER BY json_each.key",
            named=json.dumps(
                [[one.lead_id, id_] for one in page for id_ in sorted(one.hubspot_ids)]
            ),
        )
        # A lead can be one contact's only.
        first = {row.lead_id: row.key for row in reversed(rows) if not row.is_owned}
        ours = frozenset(first.values())
        return ours, frozenset(row.key for row in rows if row.is_free) - ours


def _with_line(page: Sequence[LeadIdentity]) -> Iterator[tuple[str, str]]:
    return ((lead.lead_id, one) for lead in page for one in sorted(lead.hubspot_ids))


def _held(lead_id: str, detail: Detail) -> dict[str, Any]:
    held = Hold.ALREADY_IN_DESTINATION
    return {"held": held, "lead_id": lead_id, "detail": stored(detail)}


def _whose(lead: LeadIdentity) -> Detail:
    if lead.hubspot_ids:
        contact = min(lead.hubspot_ids)
        return HoldDetail.FOREIGN_OF_CONTACT.of(lead=lead.lead_id, contact=contact)
    if not lead.shows_notes:
        return HoldDetail.FOREIGN_WITHOUT_NOTES.of(lead=lead.lead_id)
    return HoldDetail.FOREIGN.of(lead=lead.lead_id)
