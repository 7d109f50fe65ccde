"""
The evidence: the ledger's rows, and the leads of a listing beside them, contact by contact.

Owns the audit's SQL. The leads go into a temporary database of their own, so that a million of
them need no memory; the ledger is attached to it and never written.
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

# Half of a surrogate pair is in no id, and SQLite cannot keep it.
_RECORD = re.compile(r"\[HubSpot record: ([^\s/\[\]]+)/([^\s/\[\]\ud800-\udfff]+)\]")
# What lists and mail programs leave around an address.
_MARKS = " \t\r\n;,:()<>[]\"'`"
_REMOVED = ("to_be_deleted", "deleted", "duplicate")


class NotALedger(Exception):
    """The file holds no evidence: it is missing, damaged, or no ledger. The message says which."""


@dataclass(frozen=True)
class JourneyBinding:
    """What the ledger says it belongs to; `is_forgotten` = people were removed from it."""

    portal_id: str | None
    leadgenius_url: str | None
    client_id: str | None
    is_forgotten: bool


@dataclass(frozen=True)
class Attempt:
    """A send, as the ledger has it; times in milliseconds since the epoch."""

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
        """Whether it is known to have left a lead."""
        return self.outcome in ("created", "found")


@dataclass(frozen=True)
class Event:
    """A line of a contact's history."""

    number: int
    source: str | None  # None = born
    target: str
    held: str | None


@dataclass(frozen=True)
class ContactEvidence:
    """
    One contact with all that is known of it.

    Args:
        lead: JSON, as it was or will be sent without the client_id; None = not mapped.
        listed: Ids of the listed leads that carry its line. Where its own is not among them, those
            that are another contact's own are left out: leads were merged over there.
        left: Ids of the listed leads that its sends have left, whatever they carry by now; but
            those that are another contact's.
        same_email: Ids of the listed leads that have its lead's e-mail and no line.
        lead_is_listed: Whether the lead that the ledger names was listed, line or not.
    """

    hubspot_id: str
    state: str
    held: str | None
    lead: str | None
    lead_id: str | None
    attempts: Sequence[Attempt]
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
    """A ledger and the leads of a listing, open for questions."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.binding = self._binding()

    @classmethod
    @contextmanager
    def of(cls, ledger: Path, leads: Iterable[Mapping[str, Any]]) -> Iterator["LedgerEvidence"]:
        """
        Open a ledger, and read a listing to its end.

        Raises:
            NotALedger: the file cannot be read as one.
        """
        # The empty name is SQLite's for a temporary file that vanishes with the connection.
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
        Put the leads of a listing beside the ledger; one that is listed twice counts once.

        One that LeadGenius marks as deleted or as a duplicate is not there (design, I4).
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
        """How many leads of the ledger were not listed so far, but those known to be missing."""
        return int(
            self._row(
                "SELECT count(*) FROM contact WHERE lead_id IS NOT NULL AND held IS NOT 'missing' "
                "AND NOT EXISTS (SELECT 1 FROM listed WHERE listed.lead_id = contact.lead_id)"
            )[0]
        )

    def _identities(self, lead: Mapping[str, Any]) -> Iterator[tuple[str | None, str | None]]:
        """
        (contact that its notes name, e-mail) of a lead (design, I4).

        None = it names none of ours, and: with a line of any portal its e-mail says nothing.
        """
        notes = lead.get("notes")
        lines = notes.splitlines() if isinstance(notes, str) else []
        found = [_RECORD.fullmatch(line.strip()) for line in lines]
        ours = {one[2] for one in found if one and one[1] == self.binding.portal_id}
        email = None if any(found) else _email(lead.get("email"))
        yield from ((one, email) for one in ours or (None,))

    def cases(self) -> Iterator[ContactEvidence]:
        """Every contact, in HubSpot's order."""
        contacts = self._rows(
            "SELECT key, hubspot_id, state, held, lead, lead_id, foreign_lead_id FROM contact "
            "ORDER BY key"
        )
        for key, hubspot_id, state, held, lead, lead_id, foreign_lead_id in contacts:
            # Where a lead of others had its e-mail before us, the e-mail says nothing.
            is_listed = bool(self._row(_IS_LISTED, lead_id)[0])
            email = None if foreign_lead_id is not None or lead is None else _email_of(lead)
            yield ContactEvidence(
                hubspot_id,
                state,
                held,
                lead,
                lead_id,
                attempts=[Attempt(*row) for row in self._rows(_ATTEMPTS, key)],
                events=[Event(*row) for row in self._rows(_EVENTS, key)],
                listed=[row[0] for row in self._rows(_LISTED_OF, hubspot_id, is_listed)],
                left=[row[0] for row in self._rows(_LEFT_BY, key)],
                same_email=[row[0] for row in self._rows(_SAME_EMAIL, email)],
                lead_is_listed=is_listed,
            )

    def leads(self) -> int:
        """How many leads were listed."""
        return int(self._row("SELECT count(DISTINCT lead_id) FROM listed")[0])

    def strangers(self, known: Iterable[str]) -> int:
        """How many of them are no contact's by their id, carry no line of ours, and are unknown."""
        others = f"{_OWNED_BY_NOBODY} AND hubspot_id IS NULL"
        is_known = "lead_id IN (SELECT value FROM json_each(?))"
        return int(self._row(f"{others} AND NOT {is_known}", json.dumps(list(known)))[0])

    def unknown(self) -> int:
        """How many of them carry our line with a contact that this ledger does not know."""
        known = "EXISTS (SELECT 1 FROM contact WHERE hubspot_id = one.hubspot_id)"
        named = f"{_OWNED_BY_NOBODY} AND hubspot_id IS NOT NULL AND NOT {known}"
        return int(self._row(named)[0])

    def sums(self) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int], int]:
        """Contacts by state and hold as counted here, and as the ledger says; and those given."""
        here = self._rows("SELECT state, ifnull(held, ''), count(*) FROM contact GROUP BY 1, 2")
        said = self._rows("SELECT state, held, contacts FROM state_count WHERE contacts > 0")
        given = self._row("SELECT contacts_seen FROM checkpoint WHERE name = 'extraction'")[0]
        return {row[:2]: row[2] for row in here}, {row[:2]: row[2] for row in said}, int(given)

    def shared_emails(self) -> Iterator[tuple[str, str]]:
        """(contact, other contact): this ledger has sent for both, and their e-mail is one."""
        yield from self._rows(
            "WITH sent AS (SELECT hubspot_id, email_key FROM contact WHERE email_key > '' "
            "AND EXISTS (SELECT 1 FROM attempt WHERE contact_key = key AND "
            "(outcome IS NULL OR attempt.lead_id = contact.lead_id))) "
            "SELECT min(hubspot_id), max(hubspot_id) FROM sent GROUP BY email_key "
            "HAVING count(*) > 1"
        )

    def orphans(self) -> int:
        """Sends and lines of history that belong to no contact or to no run."""
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
            raise sqlite3.DatabaseError("a row that every ledger has is missing")
        return row


_ATTEMPTS = (
    "SELECT number, run_id, payload_hash, sent_ms, status, outcome, settled_ms, lead_id "
    "FROM attempt WHERE contact_key = ? ORDER BY number"
)
_EVENTS = "SELECT number, source, target, held FROM event WHERE contact_key = ? ORDER BY number"
_IS_LISTED = "SELECT EXISTS (SELECT 1 FROM listed WHERE lead_id = ?)"
_LISTED_OF = (
    "SELECT DISTINCT lead_id FROM listed WHERE hubspot_id = ?1 AND (?2 OR NOT EXISTS "
    "(SELECT 1 FROM contact WHERE contact.lead_id = listed.lead_id "
    "AND contact.hubspot_id <> ?1)) ORDER BY lead_id"
)
_LEFT_BY = (
    "SELECT DISTINCT lead_id FROM attempt JOIN listed USING (lead_id) WHERE contact_key = ? "
    "AND NOT EXISTS (SELECT 1 FROM contact WHERE contact.lead_id = listed.lead_id "
    "AND key <> contact_key) ORDER BY lead_id"
)
_OWNED_BY_NOBODY = (
    "SELECT count(DISTINCT lead_id) FROM listed AS one "
    "WHERE NOT EXISTS (SELECT 1 FROM contact WHERE lead_id = one.lead_id)"
)
# One that is another contact's by its id is that one's, whoever's e-mail it has.
_SAME_EMAIL = (
    "SELECT DISTINCT lead_id FROM listed AS one WHERE email = ? AND NOT EXISTS "
    "(SELECT 1 FROM contact WHERE lead_id = one.lead_id) ORDER BY lead_id"
)


def _is_removed(lead: Mapping[str, Any]) -> bool:
    status = lead.get("status")
    is_marked = isinstance(status, str) and status.strip().lower() in _REMOVED
    return is_marked or bool(lead.get("deletedAt"))


def _email(value: Any) -> str | None:
    """An e-mail so that two spellings of it are one; None = there is none."""
    # Not folded: that would make one domain of two, such as those with ß and with ss.
    text = value.strip(_MARKS).lower() if isinstance(value, str) else ""
    mailbox, _, domain = text.rpartition("<")[2].strip(_MARKS).rpartition("@")
    address = unicodedata.normalize("NFC", f"{mailbox}@{_readable(domain)}")
    # SQLite cannot keep half of a surrogate pair.
    return address.encode(errors="replace").decode() if text else None


def _readable(domain: str) -> str:
    """A domain as people read it: its parts beside their ASCII spelling are one."""
    return ".".join(map(_readable_part, domain.split(".")))


def _readable_part(part: str) -> str:
    if not (part.startswith("xn--") and part.isascii()):
        return part
    try:
        return part[4:].encode().decode("punycode")
    except UnicodeError:
        return part


def _email_of(lead: str) -> str | None:
    try:
        return _email(fields(lead).get("email"))
    except ValueError:  # it rotted; another rule says so
        return None


def fields(lead: str) -> dict[str, Any]:
    """The lead's JSON as an object."""
    found = json.loads(lead)
    return found if isinstance(found, dict) else {}


@contextmanager
def _named(ledger: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise NotALedger(f"{ledger} cannot be read as a ledger: {error}") from None
