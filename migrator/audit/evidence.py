"""
The evidence: the ledger's rows and the listed leads, contact by contact.

All SQL of the audit is here. The leads are stored in a temporary database, so that a million of
them need no memory; the ledger is attached read-only.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import quote

from migrator.audit.identity import email_of_lead, identities, is_removed
from migrator.audit.records import (
    Attempt,
    ContactEvidence,
    Event,
    FormerBase,
    JourneyBinding,
    NotALedger,
)


class LedgerEvidence:
    """A ledger and the leads of a listing in one database."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.binding = self._binding()

    @classmethod
    @contextmanager
    def of(cls, ledger: Path, leads: Iterable[Mapping[str, Any]]) -> Iterator["LedgerEvidence"]:
        """
        Open a ledger, and read a listing to its end.

        Raises:
            NotALedger: the file cannot be read as a ledger.
        """
        # With an empty name, SQLite creates a temporary database.
        database = sqlite3.connect("", uri=True)
        try:
            with _named(ledger):
                database.execute("ATTACH ? AS ledger", (f"file:{quote(str(ledger))}?mode=ro",))
                evidence = cls(database)
                database.execute(
                    "CREATE TEMP TABLE listed (lead_id TEXT, hubspot_id TEXT, email TEXT)"
                )
                database.execute("CREATE INDEX temp.listed_lead ON listed (lead_id)")
                database.execute("CREATE INDEX temp.listed_contact ON listed (hubspot_id)")
                database.execute("CREATE INDEX temp.listed_email ON listed (email)")
            evidence.add(leads)
            with _named(ledger):
                yield evidence
        finally:
            database.close()

    def _binding(self) -> JourneyBinding:
        columns = {row[1] for row in self._rows("PRAGMA ledger.table_info(ledger)")}
        forgotten = "forgotten_ms IS NOT NULL" if "forgotten_ms" in columns else "0"
        row = self._row(f"SELECT portal_id, leadgenius_url, client_id, {forgotten} FROM ledger")
        found = list(self._findings(row[1]))
        kept = (one.get("fields_kept") for one in found)
        notes = (one.get("notes_kept") for one in found)
        return JourneyBinding(
            row[0],
            row[1],
            row[2],
            bool(row[3]),
            fields_kept=tuple(tuple(one) for one in kept if one is not None),
            notes_limits=tuple(one for one in notes if type(one) is int),  # no boolean
        )

    def _findings(self, url: str | None) -> Iterator[dict[str, Any]]:
        """What each probe of LeadGenius found; ledgers of before there were probes have none."""
        if list(self._rows("PRAGMA ledger.table_info(probe)")):
            query = "SELECT findings FROM ledger.probe WHERE leadgenius_url = ?"
            yield from (json.loads(row[0]) for row in self._rows(query, url))

    def add(self, leads: Iterable[Mapping[str, Any]]) -> None:
        """
        Add the leads of a listing, except those that LeadGenius marks as removed (design, I4).
        """
        self._database.executemany(
            "INSERT INTO listed VALUES (?, ?, ?)",
            (
                (str(lead["id"]), record, email)
                for lead in leads
                if not is_removed(lead)
                for record, email in identities(lead, self.binding.portal_id)
            ),
        )

    def unseen(self) -> int:
        """The number of leads in the ledger that should have been listed, but were not."""
        return int(
            self._row(
                "SELECT count(*) FROM contact WHERE lead_id IS NOT NULL AND held IS NOT 'missing' "
                "AND NOT EXISTS (SELECT 1 FROM listed WHERE listed.lead_id = contact.lead_id) "
                "AND NOT EXISTS (SELECT 1 FROM attempt WHERE contact_key = key AND kind = 'delete' "
                "AND attempt.lead_id = contact.lead_id AND outcome IN ('deleted', 'found'))"
            )[0]
        )

    def contacts(self) -> Iterator[ContactEvidence]:
        """Every contact, in HubSpot's order."""
        contacts = self._rows(_CONTACTS)
        for key, hubspot_id, state, held, lead, lead_id, foreign_lead_id, *more in contacts:
            is_erased, gone, merged_into, successor = more
            # If a foreign lead had this e-mail before, the e-mail proves nothing.
            is_listed = bool(self._row(_IS_LISTED, lead_id)[0])
            is_proof = foreign_lead_id is None and lead is not None
            email = email_of_lead(lead) if is_proof else None
            yield ContactEvidence(
                hubspot_id,
                state,
                held,
                lead,
                lead_id,
                is_erased=bool(is_erased),
                gone=gone,
                merged_into=merged_into,
                successor=successor,
                predecessors=dict(self._rows(_PREDECESSORS, key)),
                attempts=[Attempt(*row) for row in self._rows(_ATTEMPTS, key)],
                inherited=[Attempt(*row) for row in self._rows(_INHERITED, key)],
                events=[Event(*row) for row in self._rows(_EVENTS, key)],
                bases=[FormerBase(*row) for row in self._rows(_BASES, key)],
                listed=self._ids(_LISTED_OF, key, is_listed),
                left=self._ids(_LEFT_BY, key),
                same_email=self._ids(_SAME_EMAIL, email),
                lead_is_listed=is_listed,
                deleted_but_listed=self._ids(_DELETED_BUT_LISTED, key),
            )

    def totals(self) -> dict[str, Any]:
        """
        What was counted beside the contacts and the sends, and what they were mapped with.

        `given` = contacts that HubSpot ever gave; `intents` = intents to send; `mapping` = SHA-256
        of the rules in force, None = none yet.
        """
        given = "SELECT contacts_seen FROM checkpoint WHERE name = 'extraction'"
        mapping = "SELECT hash FROM mapping WHERE id = ledger.mapping"
        row = self._row(f"SELECT ({given}), intents, ({mapping}) FROM ledger.ledger")
        return dict(zip(("given", "intents", "mapping"), row, strict=True))

    def leads(self) -> int:
        """The number of listed leads."""
        return int(self._row("SELECT count(DISTINCT lead_id) FROM listed")[0])

    def strangers(self, known: Iterable[str]) -> int:
        """The number of listed leads that are not ours; `known` = ids of leads that are."""
        others = f"{_UNOWNED} AND hubspot_id IS NULL"
        is_known = "lead_id IN (SELECT value FROM json_each(?))"
        return int(self._row(f"{others} AND NOT {is_known}", json.dumps(list(known)))[0])

    def unknown(self) -> int:
        """The number of listed leads with the record line of a contact not in this ledger."""
        known = "EXISTS (SELECT 1 FROM contact WHERE hubspot_id = one.hubspot_id)"
        named = f"{_UNOWNED} AND hubspot_id IS NOT NULL AND NOT {known}"
        return int(self._row(named)[0])

    def sums(self) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int], int]:
        """Contacts by state and hold: counted, and as in the ledger; and contacts from HubSpot."""
        here = self._rows("SELECT state, ifnull(held, ''), count(*) FROM contact GROUP BY 1, 2")
        said = self._rows("SELECT state, held, contacts FROM state_count WHERE contacts > 0")
        given = self._row("SELECT contacts_seen FROM checkpoint WHERE name = 'extraction'")[0]
        return {row[:2]: row[2] for row in here}, {row[:2]: row[2] for row in said}, int(given)

    def shared_emails(self) -> Iterator[tuple[str, str]]:
        """(contact, other contact): both were sent, with the same e-mail."""
        yield from self._rows(
            "WITH sent AS (SELECT hubspot_id, email_key FROM contact WHERE email_key > '' "
            "AND EXISTS (SELECT 1 FROM attempt WHERE contact_key = key AND "
            "(outcome IS NULL OR attempt.lead_id = contact.lead_id))) "
            "SELECT min(hubspot_id), max(hubspot_id) FROM sent GROUP BY email_key "
            "HAVING count(*) > 1"
        )

    def intents(self) -> Iterator[tuple[int | None, int, int]]:
        """
        (run, announced, recorded) intents: of the whole ledger, and of all before each run.

        The run is None for the whole ledger. `announced` was counted when they were committed.
        """
        runs = list(self._rows(_INTENTS_BY_RUN))
        so_far = [0, *accumulate(row[2] for row in runs)]
        (announced,) = self._row("SELECT intents FROM ledger")
        yield None, announced, self._row("SELECT count(*) FROM attempt")[0]
        yield from ((run, said, n) for (run, said, _), n in zip(runs, so_far, strict=False))

    def orphans(self) -> int:
        """The number of sends and events without a contact or a run."""
        return int(
            self._row(
                "SELECT (SELECT count(*) FROM attempt WHERE contact_key NOT IN "
                "(SELECT key FROM contact) OR run_id NOT IN (SELECT id FROM run)) "
                "+ (SELECT count(*) FROM event WHERE contact_key NOT IN (SELECT key FROM contact))"
            )[0]
        )

    def _ids(self, sql: str, *params: Any) -> list[str]:
        return [row[0] for row in self._rows(sql, *params)]

    def _rows(self, sql: str, *params: Any) -> Iterator[Any]:
        return iter(self._database.execute(sql, params))

    def _row(self, sql: str, *params: Any) -> Any:
        row = self._database.execute(sql, params).fetchone()
        if row is None:
            raise sqlite3.DatabaseError("a required row is missing")
        return row


_CONTACTS = (
    "SELECT key, hubspot_id, state, held, lead, lead_id, foreign_lead_id, source = '{}', gone, "
    "merged_into, (SELECT hubspot_id FROM contact AS other WHERE other.key = contact.succeeded_by) "
    "FROM contact ORDER BY key"
)
_PREDECESSORS = "SELECT hubspot_id, lead FROM contact WHERE succeeded_by = ?"
_ATTEMPTS = (
    "SELECT number, run_id, kind, payload_hash, sent_ms, status, outcome, settled_ms, lead_id, "
    "fields, before, base, overrode, made_status FROM attempt WHERE contact_key = ? ORDER BY number"
)
_INHERITED = _ATTEMPTS.replace(
    "contact_key = ?", "contact_key IN (SELECT key FROM contact WHERE succeeded_by = ?)"
)
_EVENTS = "SELECT number, source, target, held FROM event WHERE contact_key = ? ORDER BY number"
_BASES = (
    "SELECT attempt, lead_id, lead, new_lead FROM former_base WHERE contact_key = ? ORDER BY number"
)
_IS_LISTED = "SELECT EXISTS (SELECT 1 FROM listed WHERE lead_id = ?)"
_LISTED_OF = (
    "SELECT DISTINCT lead_id FROM listed WHERE hubspot_id IN "
    "(SELECT hubspot_id FROM contact WHERE key = ?1 OR succeeded_by = ?1) AND (?2 OR NOT EXISTS "
    "(SELECT 1 FROM contact WHERE contact.lead_id = listed.lead_id AND contact.key <> ?1)) "
    "ORDER BY lead_id"
)
_LEFT_BY = (
    "SELECT DISTINCT lead_id FROM attempt JOIN listed USING (lead_id) WHERE contact_key = ? "
    "AND kind = 'create' AND NOT EXISTS (SELECT 1 FROM contact "
    "WHERE contact.lead_id = listed.lead_id AND key <> contact_key) ORDER BY lead_id"
)
_DELETED_BUT_LISTED = (
    "SELECT DISTINCT lead_id FROM attempt JOIN listed USING (lead_id) WHERE contact_key = ? "
    "AND kind = 'delete' AND outcome IN ('deleted', 'found') ORDER BY lead_id"
)
_INTENTS_BY_RUN = (
    "SELECT id, intents, ifnull(n, 0) FROM run LEFT JOIN "
    "(SELECT run_id, count(*) AS n FROM attempt GROUP BY run_id) ON run_id = id ORDER BY id"
)
_UNOWNED = (
    "SELECT count(DISTINCT lead_id) FROM listed AS one "
    "WHERE NOT EXISTS (SELECT 1 FROM contact WHERE lead_id = one.lead_id)"
)
# A lead that the ledger assigns to another contact is that contact's, whatever its e-mail.
_SAME_EMAIL = (
    "SELECT DISTINCT lead_id FROM listed AS one WHERE email = ? AND NOT EXISTS "
    "(SELECT 1 FROM contact WHERE lead_id = one.lead_id) ORDER BY lead_id"
)


@contextmanager
def _named(ledger: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise NotALedger(f"{ledger} cannot be read as a ledger: {error}") from None
