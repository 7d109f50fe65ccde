"""
What a listing of the client means for the ledger: leads adopted, foreign leads respected, and the
sightings of a verification.

A listed lead is described by its id, the HubSpot ids that its notes name (of this portal only) and
its normalised e-mail. It never reads notes or compares fields itself.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from migrator.ledger.database import Database, now_ms
from migrator.ledger.journey import Journey
from migrator.states import Hold

CONCLUDED_AT_ONCE = 5_000


@dataclass(frozen=True)
class Listed:
    """A lead as listed, as far as identity goes (design, I4)."""

    lead_id: str
    hubspot_ids: frozenset[str]
    email_key: str | None


@dataclass(frozen=True)
class Owner:
    """A contact that a listed lead belongs to, and what was sent for it (JSON)."""

    key: int
    lead_id: str
    lead: str


@dataclass(frozen=True)
class Sighting:
    """A lead that is one of ours; `differs` = names of the fields that are not as sent."""

    lead_id: str
    key: int
    differs: str | None


@dataclass(frozen=True)
class Doubled:
    """A contact with more than one lead at the destination, and the ids of all of them."""

    hubspot_id: str
    lead_ids: str


@dataclass(frozen=True)
class Verdict:
    """What a complete verification concluded, in contacts."""

    verified: int
    missing: int
    different: int


class Listing:
    """Questions and moves that follow from what a listing shows."""

    def __init__(self, database: Database, journey: Journey) -> None:
        self._database = database
        self._journey = journey

    # Before the first send

    def adopt(self, page: Sequence[Listed]) -> int:
        """
        Take over the leads that carry our line, and respect those with our e-mail but no line.

        The first ones' contacts become posted, so a rebuilt ledger posts nothing twice; the
        others' are held (design, I5). Contacts with an open attempt are left to `settle`.

        Returns:
            How many contacts were adopted.
        """
        with self._database.transaction():
            adopted = sum(self._adopt_by_line(lead) for lead in self._with_line(page))
            self._respect_foreign(page)
            if adopted:
                self._database.run("UPDATE ledger SET adopted_ms = :now", {"now": now_ms()})
        return adopted

    def _with_line(self, page: Sequence[Listed]) -> list[tuple[Listed, str]]:
        return [(lead, hubspot_id) for lead in page for hubspot_id in sorted(lead.hubspot_ids)]

    def _adopt_by_line(self, named: tuple[Listed, str]) -> int:
        lead, hubspot_id = named
        contact = self._database.one(
            "SELECT key, email_key, held FROM contact WHERE hubspot_id = :hubspot_id "
            "AND state = 'mapped' AND NOT EXISTS "
            "(SELECT 1 FROM attempt WHERE contact_key = key AND outcome IS NULL) "
            "AND NOT EXISTS (SELECT 1 FROM contact WHERE lead_id = :lead_id)",
            hubspot_id=hubspot_id,
            lead_id=lead.lead_id,
        )
        if contact is None:
            return 0
        landed = self._database.moved(
            "UPDATE contact SET state = 'posted', lead_id = :lead_id, held = NULL, detail = NULL "
            "WHERE key = :key AND state = 'mapped'",
            {"key": contact.key, "lead_id": lead.lead_id},
        )
        self._hold_others(contact.email_key, hubspot_id)
        return landed

    def _hold_others(self, email_key: str, first: str) -> None:
        """The adopted contact is the one of its e-mail; whoever was to be sent for it is not."""
        self._database.run(
            "UPDATE contact SET held = :held, detail = :detail WHERE email_key = :email_key "
            "AND state = 'mapped' AND held IS NULL AND NOT EXISTS "
            "(SELECT 1 FROM attempt WHERE contact_key = key AND outcome IS NULL)",
            {
                "email_key": email_key,
                "held": Hold.DUPLICATE_EMAIL,
                "detail": f"contact {first} has the same e-mail",
            },
        )

    def _respect_foreign(self, page: Sequence[Listed]) -> None:
        self._database.moved(
            "UPDATE contact SET held = :held, namesake = :lead_id, "
            "detail = 'lead ' || :lead_id || ' has the same e-mail and is not ours' "
            "WHERE email_key = :email_key AND state = 'mapped' AND held IS NULL "
            # With a namesake it was held before, and the user asked to send it all the same.
            "AND namesake IS NULL AND NOT EXISTS "
            "(SELECT 1 FROM attempt WHERE contact_key = key AND outcome IS NULL)",
            [
                {
                    "held": Hold.ALREADY_IN_DESTINATION,
                    "lead_id": lead.lead_id,
                    "email_key": lead.email_key,
                }
                for lead in page
                if lead.email_key is not None
            ],
        )

    def hold_unidentified(self, rows: Sequence[Listed]) -> None:
        """
        Hold the contacts whose line or e-mail is on a row without an id.

        There is a lead, which cannot be adopted for want of its id. With a namesake the user asked
        to send the contact all the same.
        """
        with self._database.transaction():
            self._database.moved(
                "UPDATE contact SET held = :held, namesake = '', detail = :detail "
                "WHERE (email_key = :email_key OR hubspot_id IN (SELECT value FROM "
                "json_each(:hubspot_ids))) AND state = 'mapped' AND held IS NULL "
                "AND namesake IS NULL AND NOT EXISTS "
                "(SELECT 1 FROM attempt WHERE contact_key = key AND outcome IS NULL)",
                [
                    {
                        "held": Hold.ALREADY_IN_DESTINATION,
                        "detail": "a lead that LeadGenius lists without an id has its record line "
                        "or its e-mail",
                        "email_key": row.email_key,
                        "hubspot_ids": json.dumps(sorted(row.hubspot_ids)),
                    }
                    for row in rows
                ],
            )

    # Verification

    def begin_verification(self) -> None:
        """Forget what an earlier verification saw and begin a new sweep."""
        with self._database.transaction():
            self._database.run("DELETE FROM sighting")
            self._journey.begin_sweep("verification")

    def owners(self, page: Sequence[Listed]) -> dict[str, Owner]:
        """
        Whose the leads of a page are, by lead id; leads that are nobody's are left out.

        A lead belongs to the contact that has its id, else to the one that its line names, else
        to the one with its e-mail, unless others with it were there before us (design, I4).
        """
        rows = self._database.rows(
            "SELECT listed.lead_id AS listed_id, contact.key, contact.lead_id, contact.lead "
            "FROM (SELECT json_extract(value, '$.lead_id') AS lead_id, "
            "json_extract(value, '$.email_key') AS email_key, "
            "json_extract(value, '$.hubspot_ids') AS hubspot_ids FROM json_each(:page)) AS listed "
            "JOIN contact ON contact.key = coalesce("
            "(SELECT key FROM contact AS own WHERE own.lead_id = listed.lead_id),"
            "(SELECT key FROM contact AS own WHERE own.lead_id IS NOT NULL "
            "AND hubspot_id IN (SELECT value FROM json_each(listed.hubspot_ids))),"
            "(SELECT key FROM contact AS own WHERE own.email_key = listed.email_key "
            "AND own.lead_id IS NOT NULL AND namesake IS NULL "
            "ORDER BY key LIMIT 1))",
            page=json.dumps([_described(lead) for lead in page]),
        )
        return {row.listed_id: Owner(row.key, row.lead_id, row.lead) for row in rows}

    def write_sightings(self, sightings: Sequence[Sighting], cursor: str | None) -> None:
        """Write what a page showed and the cursor behind it, in one transaction."""
        with self._database.transaction():
            self._database.moved(
                "INSERT INTO sighting VALUES (:lead_id, :key, :differs) ON CONFLICT DO UPDATE "
                "SET contact_key = excluded.contact_key, differs = excluded.differs",
                [vars(sighting) for sighting in sightings],
            )
            self._journey.advance("verification", cursor)

    def write_unidentified(self, sightings: Sequence[Sighting]) -> None:
        """
        Write what rows without an id showed of contacts: each stands for the contact's own lead.

        A row with that id counts more, whichever of them came first.
        """
        with self._database.transaction():
            self._database.moved(
                "INSERT INTO sighting VALUES (:lead_id, :key, :differs) ON CONFLICT DO NOTHING",
                [vars(sighting) for sighting in sightings],
            )

    def unseen(self) -> int:
        """How many contacts the complete sweep did not show, but those known to be missing."""
        unseen = self._database.one(f"{_COUNT_WITH_LEAD} AND {_NOT_SEEN}").n
        known = self._database.one(f"{_COUNT_MISSING} AND {_NOT_SEEN}").n
        return int(unseen) - int(known)

    def conclude(self) -> Verdict:
        """
        Draw the conclusions of a complete sweep, some thousands of contacts a transaction.

        Seen as sent: verified. Seen otherwise: held as different. Not seen: held as missing.
        What an earlier verification held and this one sees in order is free again. Done twice
        it changes nothing, so a crash in the middle costs only another verification.
        """
        last = self._database.one("SELECT ifnull(max(key), 0) AS key FROM contact").key
        verified = sum(
            self._conclude_range({"first": first, "last": first + CONCLUDED_AT_ONCE - 1})
            for first in range(0, last + 1, CONCLUDED_AT_ONCE)
        )
        return Verdict(verified, self._count(Hold.MISSING), self._count(Hold.DIFFERENT))

    def _conclude_range(self, keys: dict[str, int]) -> int:
        with self._database.transaction():
            self._database.run(_RELEASE_HEALED, keys)
            verified = self._database.run(_VERIFY_SEEN_AS_SENT, keys).rowcount
            self._database.run(_HOLD_DIFFERENT, keys)
            self._database.run(_HOLD_MISSING, keys)
        return int(verified)

    def _count(self, held: Hold) -> int:
        row = self._database.one(
            "SELECT coalesce(sum(contacts), 0) AS contacts FROM tally WHERE held = :held",
            held=held,
        )
        return int(row.contacts)

    def doubled(self) -> list[Doubled]:
        """Contacts of which the complete sweep showed more than one lead."""
        rows = self._database.rows(
            "SELECT hubspot_id, (SELECT group_concat(lead_id, ', ') FROM sighting "
            "WHERE contact_key = key) AS lead_ids FROM (SELECT contact_key FROM sighting "
            "GROUP BY contact_key HAVING count(*) > 1) JOIN contact ON key = contact_key "
            "ORDER BY key"
        )
        return [Doubled(*row) for row in rows]


_SEEN_AS_SENT = (
    "EXISTS (SELECT 1 FROM sighting WHERE contact_key = key "
    "AND sighting.lead_id = contact.lead_id AND differs IS NULL)"
)
_UNSEEN = (
    "state IN ('posted', 'verified') AND NOT EXISTS "
    "(SELECT 1 FROM sighting WHERE contact_key = key AND sighting.lead_id = contact.lead_id)"
)
_IN_RANGE = "key BETWEEN :first AND :last"

_RELEASE_HEALED = (
    "UPDATE contact SET held = NULL, detail = NULL "
    f"WHERE held IN ('missing', 'different') AND {_IN_RANGE} AND {_SEEN_AS_SENT}"
)
_VERIFY_SEEN_AS_SENT = (
    "UPDATE contact SET state = 'verified' "
    f"WHERE state = 'posted' AND held IS NULL AND {_IN_RANGE} AND {_SEEN_AS_SENT}"
)
_HOLD_DIFFERENT = (
    "UPDATE contact SET held = 'different', detail = (SELECT differs FROM sighting "
    "WHERE contact_key = key AND sighting.lead_id = contact.lead_id) "
    f"WHERE state IN ('posted', 'verified') AND {_IN_RANGE} AND EXISTS "
    "(SELECT 1 FROM sighting WHERE contact_key = key "
    "AND sighting.lead_id = contact.lead_id AND differs IS NOT NULL)"
)
_HOLD_MISSING = (
    "UPDATE contact SET held = 'missing', detail = 'lead ' || lead_id || ' is not listed' "
    f"WHERE {_IN_RANGE} AND {_UNSEEN}"
)
# Side by side through the two indexes of leads, and no contact is read: each with a lead was sent.
_COUNT_WITH_LEAD = (
    "SELECT count(*) AS n FROM contact INDEXED BY contact_by_lead WHERE lead_id IS NOT NULL"
)
_COUNT_MISSING = (
    "SELECT count(*) AS n FROM contact WHERE held IS NOT NULL AND held = 'missing' "
    "AND lead_id IS NOT NULL"
)
_NOT_SEEN = (
    "NOT EXISTS (SELECT 1 FROM sighting "
    "WHERE sighting.lead_id = contact.lead_id AND contact_key = key)"
)


def _described(lead: Listed) -> dict[str, Any]:
    return {
        "lead_id": lead.lead_id,
        "hubspot_ids": sorted(lead.hubspot_ids),
        "email_key": lead.email_key,
    }
