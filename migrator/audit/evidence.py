"""
The evidence: the ledger's rows and the listed leads, contact by contact.

All SQL of the audit is here. The leads are stored in a temporary database, so that a million of
them need no memory; the ledger is attached read-only.
"""

import json
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

# Ids contain no lone surrogates, which SQLite cannot store.
_RECORD = re.compile(r"\[HubSpot record: ([^\s/\[\]]+)/([^\s/\[\]\ud800-\udfff]+)\]")
# Marks that lists and mail programs leave around an address.
_MARKS = " \t\r\n;,:()<>[]\"'`"
_REMOVED = ("to_be_deleted", "deleted", "duplicate")


class NotALedger(Exception):
    """The file is missing, damaged or not a ledger; the message says which."""


@dataclass(frozen=True)
class JourneyBinding:
    """The portal and client of the ledger; `is_forgotten` = personal data was erased."""

    portal_id: str | None
    leadgenius_url: str | None
    client_id: str | None
    is_forgotten: bool


@dataclass(frozen=True)
class Attempt:
    """A send attempt; times in milliseconds since the epoch."""

    number: int
    run_id: int
    payload_hash: str
    sent_ms: int
    status: int | None
    outcome: str | None  # None = in doubt
    settled_ms: int | None
    lead_id: str | None

    @property
    def has_lead(self) -> bool:
        """Whether it is known to have created a lead."""
        return self.outcome in ("created", "found")


@dataclass(frozen=True)
class Event:
    """An entry of a contact's history."""

    number: int
    source: str | None  # None = the first entry
    target: str
    held: str | None


@dataclass(frozen=True)
class ContactEvidence:
    """
    A contact with all evidence about it.

    Args:
        lead: The lead as JSON, without the client_id; None = not mapped.
        inherited: The sends of contacts whose lead it took over, as they were merged into it.
        listed: Ids of the listed leads with its record line, or with that of such a contact. If its
            own lead is not listed, those of other contacts are left out: LeadGenius merged leads.
        left: Ids of the listed leads that its sends created, except those of other contacts.
        same_email: Ids of the listed leads with its e-mail and without a record line.
        lead_is_listed: Whether the lead that the ledger names is listed.
    """

    hubspot_id: str
    state: str
    held: str | None
    lead: str | None
    lead_id: str | None
    attempts: Sequence[Attempt]
    inherited: Sequence[Attempt]
    events: Sequence[Event]
    listed: Sequence[str]
    left: Sequence[str]
    same_email: Sequence[str]
    lead_is_listed: bool

    @property
    def is_in_doubt(self) -> bool:
        """Whether one of its sends has no outcome."""
        return any(attempt.outcome is None for attempt in self.attempts)


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
        return JourneyBinding(row[0], row[1], row[2], bool(row[3]))

    def add(self, leads: Iterable[Mapping[str, Any]]) -> None:
        """
        Add the leads of a listing, except those that LeadGenius marks as removed (design, I4).
        """
        self._database.executemany(
            "INSERT INTO listed VALUES (?, ?, ?)",
            (
                (str(lead["id"]), record, email)
                for lead in leads
                if not _is_removed(lead)
                for record, email in self._identities(lead)
            ),
        )

    def unseen(self) -> int:
        """The number of leads in the ledger that were not listed and are not held as missing."""
        return int(
            self._row(
                "SELECT count(*) FROM contact WHERE lead_id IS NOT NULL AND held IS NOT 'missing' "
                "AND NOT EXISTS (SELECT 1 FROM listed WHERE listed.lead_id = contact.lead_id)"
            )[0]
        )

    def _identities(self, lead: Mapping[str, Any]) -> Iterator[tuple[str | None, str | None]]:
        """
        (contact of its record line, e-mail) of a lead (design, I4).

        The contact is None without a line of our portal. The e-mail is None with a line of any
        portal, because it proves nothing then.
        """
        notes = lead.get("notes")
        lines = notes.splitlines() if isinstance(notes, str) else []
        found = [_RECORD.fullmatch(line.strip()) for line in lines]
        ours = {one[2] for one in found if one and one[1] == self.binding.portal_id}
        email = None if any(found) else _email(lead.get("email"))
        yield from ((one, email) for one in ours or (None,))

    def contacts(self) -> Iterator[ContactEvidence]:
        """Every contact, in HubSpot's order."""
        contacts = self._rows(
            "SELECT key, hubspot_id, state, held, lead, lead_id, foreign_lead_id FROM contact "
            "ORDER BY key"
        )
        for key, hubspot_id, state, held, lead, lead_id, foreign_lead_id in contacts:
            # If a foreign lead had this e-mail before, the e-mail proves nothing.
            is_listed = bool(self._row(_IS_LISTED, lead_id)[0])
            email = None if foreign_lead_id is not None or lead is None else _email_of(lead)
            yield ContactEvidence(
                hubspot_id,
                state,
                held,
                lead,
                lead_id,
                attempts=[Attempt(*row) for row in self._rows(_ATTEMPTS, key)],
                inherited=[Attempt(*row) for row in self._rows(_INHERITED, key)],
                events=[Event(*row) for row in self._rows(_EVENTS, key)],
                listed=[row[0] for row in self._rows(_LISTED_OF, key, is_listed)],
                left=[row[0] for row in self._rows(_LEFT_BY, key)],
                same_email=[row[0] for row in self._rows(_SAME_EMAIL, email)],
                lead_is_listed=is_listed,
            )

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

    def orphans(self) -> int:
        """The number of sends and events without a contact or a run."""
        return int(
            self._row(
                "SELECT (SELECT count(*) FROM attempt WHERE contact_key NOT IN "
                "(SELECT key FROM contact) OR run_id NOT IN (SELECT id FROM run)) "
                "+ (SELECT count(*) FROM event WHERE contact_key NOT IN (SELECT key FROM contact))"
            )[0]
        )

    def _rows(self, sql: str, *params: Any) -> Iterator[Any]:
        return iter(self._database.execute(sql, params))

    def _row(self, sql: str, *params: Any) -> Any:
        row = self._database.execute(sql, params).fetchone()
        if row is None:
            raise sqlite3.DatabaseError("a required row is missing")
        return row


_ATTEMPTS = (
    "SELECT number, run_id, payload_hash, sent_ms, status, outcome, settled_ms, lead_id "
    "FROM attempt WHERE contact_key = ? ORDER BY number"
)
_INHERITED = _ATTEMPTS.replace(
    "contact_key = ?", "contact_key IN (SELECT key FROM contact WHERE succeeded_by = ?)"
)
_EVENTS = "SELECT number, source, target, held FROM event WHERE contact_key = ? ORDER BY number"
_IS_LISTED = "SELECT EXISTS (SELECT 1 FROM listed WHERE lead_id = ?)"
_LISTED_OF = (
    "SELECT DISTINCT lead_id FROM listed WHERE hubspot_id IN "
    "(SELECT hubspot_id FROM contact WHERE key = ?1 OR succeeded_by = ?1) AND (?2 OR NOT EXISTS "
    "(SELECT 1 FROM contact WHERE contact.lead_id = listed.lead_id AND contact.key <> ?1)) "
    "ORDER BY lead_id"
)
_LEFT_BY = (
    "SELECT DISTINCT lead_id FROM attempt JOIN listed USING (lead_id) WHERE contact_key = ? "
    "AND NOT EXISTS (SELECT 1 FROM contact WHERE contact.lead_id = listed.lead_id "
    "AND key <> contact_key) ORDER BY lead_id"
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


def _is_removed(lead: Mapping[str, Any]) -> bool:
    status = lead.get("status")
    is_marked = isinstance(status, str) and status.strip().lower() in _REMOVED
    return is_marked or bool(lead.get("deletedAt"))


def _email(value: Any) -> str | None:
    """The normal form of an e-mail; None = there is none."""
    # Not case-folded: that would merge different domains, such as those with ß and ss.
    text = value.strip(_MARKS).lower() if isinstance(value, str) else ""
    mailbox, _, domain = text.rpartition("<")[2].strip(_MARKS).rpartition("@")
    address = unicodedata.normalize("NFC", f"{mailbox}@{_readable(domain)}")
    # SQLite cannot store lone surrogates.
    return address.encode(errors="replace").decode() if text else None


def _readable(domain: str) -> str:
    """A domain in Unicode."""
    return ".".join(map(_readable_label, domain.split(".")))


def _readable_label(label: str) -> str:
    if not (label.startswith("xn--") and label.isascii()):
        return label
    try:
        return label[4:].encode().decode("punycode")
    except UnicodeError:
        return label


def _email_of(lead: str) -> str | None:
    try:
        return _email(fields(lead).get("email"))
    except ValueError:  # corrupt; another rule reports that
        return None


def fields(lead: str) -> dict[str, Any]:
    """Parse a lead."""
    found = json.loads(lead)
    return found if isinstance(found, dict) else {}


@contextmanager
def _named(ledger: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise NotALedger(f"{ledger} cannot be read as a ledger: {error}") from None
