"""
The evidence: the ledger's rows and the listed leads, contact by contact.

All SQL of the audit is here. The leads are stored in a temporary database, so that a million of
them need no memory; the ledger is attached read-only.
"""

import json
import os
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
                database.create_function("email_of_lead", 1, email_of_lead, deterministic=True)
                database.execute(
                    "ATTACH ? AS ledger", (f"file:{quote(os.fsencode(ledger))}?mode=ro",)
                )
                evidence = cls(database)
                database.execute(
                    "CREATE TEMP TABLE listed (lead_id TEXT, hubspot_id TEXT, email TEXT)"
                )
            evidence.add(leads)
            with _named(ledger):
                # To sort all leads costs less than to insert them in their places one by one.
                database.execute("CREATE INDEX temp.listed_lead ON listed (lead_id)")
                database.execute("CREATE INDEX temp.listed_contact ON listed (hubspot_id)")
                database.execute("CREATE INDEX temp.listed_email ON listed (email)")
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
                "SELECT count(*) FROM contact WHERE key IN (SELECT key FROM contact "
                "WHERE lead_id IS NOT NULL AND lead_id NOT IN (SELECT lead_id FROM listed)) "
                "AND held IS NOT 'missing' "
                "AND NOT EXISTS (SELECT 1 FROM attempt WHERE contact_key = key AND kind = 'delete' "
                "AND attempt.lead_id = contact.lead_id AND outcome IN ('deleted', 'found'))"
            )[0]
        )

    def contacts(self) -> Iterator[ContactEvidence]:
        """
        Every contact, in HubSpot's order.

        The tables are read side by side, in the order of their keys. Only for the few contacts with
        which something happened is anything looked up.
        """
        self._database.execute("CREATE TEMP TABLE named_by_another (key INTEGER PRIMARY KEY)")
        self._database.execute(_NAMED_BY_ANOTHER)
        # If LeadGenius shows none, no e-mail proves anything.
        shows_emails = bool(self._row(_ANY_EMAIL)[0])
        attempts, events, bases = map(_ByContact, map(self._rows, (_ATTEMPTS, _EVENTS, _BASES)))
        for key, hubspot_id, state, held, lead, lead_id, foreign_lead_id, *more in self._rows(
            _CONTACTS
        ):
            is_erased, gone, merged_into, successor, has_predecessors, is_named, has_line = more
            tries = [Attempt._make(row) for row in attempts.of(key)]
            is_listed = has_line is not None
            listed = [lead_id] if has_line else []
            if is_named or has_predecessors:
                listed = self._ids(_LISTED_OF, key, key, is_listed, key)
            left, deleted = [], []
            if any(one.lead_id not in (None, lead_id) or one.kind != "create" for one in tries):
                left, deleted = self._ids(_LEFT_BY, key), self._ids(_DELETED_BUT_LISTED, key)
            same_email = []
            # If a foreign lead had this e-mail before, the e-mail proves nothing.
            if shows_emails and foreign_lead_id is None and lead is not None:
                same_email = self._ids(_SAME_EMAIL, email_of_lead(lead))
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
                predecessors=dict(self._rows(_PREDECESSORS, key)) if has_predecessors else {},
                attempts=tries,
                inherited=(
                    [Attempt(*row) for row in self._rows(_INHERITED, key)]
                    if has_predecessors
                    else []
                ),
                events=[Event._make(row) for row in events.of(key)],
                bases=[FormerBase._make(row) for row in bases.of(key)],
                listed=listed,
                left=left,
                same_email=same_email,
                lead_is_listed=is_listed,
                deleted_but_listed=deleted,
            )

    def totals(self) -> dict[str, Any]:
        """
        What was counted beside the contacts and the sends, and what they were mapped with.

        `uid` = the ledger's own id; `given` = contacts that HubSpot ever gave; `intents` = intents
        to send; `mapping` = SHA-256 of the rules in force, None = none yet.
        """
        given = "SELECT contacts_seen FROM checkpoint WHERE name = 'extraction'"
        mapping = "SELECT hash FROM mapping WHERE id = ledger.mapping"
        row = self._row(f"SELECT uid, ({given}), intents, ({mapping}) FROM ledger.ledger")
        return dict(zip(("uid", "given", "intents", "mapping"), row, strict=True))

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
        """(contact, other contact): LeadGenius was told the same e-mail of both."""
        yield from self._rows(
            "WITH sent AS (SELECT hubspot_id, email_key FROM contact WHERE email_key > '' "
            "AND EXISTS (SELECT 1 FROM attempt WHERE contact_key = key AND "
            "(outcome IS NULL OR attempt.lead_id = contact.lead_id)) "
            f"AND NOT ({_HAD_ANOTHER_EMAIL} "
            f"AND (NOT {_WAS_TOLD_EMAIL} OR {_HAS_EMAIL_OF_MERGED}))) "
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


class _ByContact:
    """Rows in the order of their first column, the key of a contact: those of one after another."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def of(self, key: int) -> list[Any]:
        """The rows of a contact without their key; ask in the order of the keys."""
        found: list[Any] = []
        row = self._next
        while row is not None and row[0] <= key:
            if row[0] == key:
                found.append(row[1:])
            row = next(self._rows, None)
        self._next = row
        return found


# Contacts whose record line is on a lead that the ledger does not assign to them.
_NAMED_BY_ANOTHER = (
    "INSERT OR IGNORE INTO named_by_another SELECT named.key FROM listed "
    "JOIN contact AS named ON named.hubspot_id = listed.hubspot_id WHERE "
    "(SELECT key FROM contact AS owner WHERE owner.lead_id = listed.lead_id) IS NOT named.key"
)
# Whether its own lead is listed (NULL = it is not), and with its record line.
_HAS_LINE = (
    "(SELECT max(listed.hubspot_id IS contact.hubspot_id) FROM listed "
    "WHERE listed.lead_id = contact.lead_id)"
)
_CONTACTS = (
    "SELECT key, hubspot_id, state, held, lead, lead_id, foreign_lead_id, source = '{}', gone, "
    "merged_into, (SELECT other.hubspot_id FROM contact AS other "
    "WHERE other.key = contact.succeeded_by), "
    "EXISTS (SELECT 1 FROM contact AS old WHERE old.succeeded_by = contact.key), "
    f"key IN (SELECT key FROM named_by_another), {_HAS_LINE} FROM contact ORDER BY key"
)
_PREDECESSORS = "SELECT hubspot_id, lead FROM contact WHERE succeeded_by = ?"
_ATTEMPT = (
    "number, run_id, kind, payload_hash, sent_ms, status, outcome, settled_ms, lead_id, "
    "fields, before, base, overrode, made_status FROM attempt"
)
_ATTEMPTS = f"SELECT contact_key, {_ATTEMPT} ORDER BY contact_key, number"
_INHERITED = (
    f"SELECT {_ATTEMPT} WHERE contact_key IN (SELECT key FROM contact WHERE succeeded_by = ?) "
    "ORDER BY number"
)
_EVENTS = "SELECT contact_key, number, source, target, held FROM event ORDER BY contact_key, number"
_BASES = (
    "SELECT contact_key, attempt, lead_id, lead, new_lead FROM former_base "
    "ORDER BY contact_key, number"
)
_LISTED_OF = (
    "SELECT DISTINCT lead_id FROM listed WHERE hubspot_id IN "
    "(SELECT hubspot_id FROM contact WHERE key = ? OR succeeded_by = ?) AND (? OR NOT EXISTS "
    "(SELECT 1 FROM contact WHERE contact.lead_id = listed.lead_id AND contact.key <> ?)) "
    "ORDER BY lead_id"
)
_LEFT_BY = (
    "SELECT DISTINCT lead_id FROM attempt JOIN listed USING (lead_id) WHERE contact_key = ? "
    "AND kind = 'create' AND NOT EXISTS (SELECT 1 FROM contact "
    "WHERE contact.lead_id = listed.lead_id) ORDER BY lead_id"
)
_DELETED_BUT_LISTED = (
    "SELECT DISTINCT lead_id FROM attempt JOIN listed USING (lead_id) WHERE contact_key = ? "
    "AND kind = 'delete' AND outcome IN ('deleted', 'found') ORDER BY lead_id"
)
# Its lead was created with another e-mail. The present one is from an update, or people had set it
# in LeadGenius before HubSpot had it.
_HAD_ANOTHER_EMAIL = (
    "email_of_lead(ifnull((SELECT old.lead FROM former_base AS old "
    "WHERE old.contact_key = contact.key AND old.lead_id = contact.lead_id ORDER BY number LIMIT 1"
    "), contact.lead)) IS NOT email_of_lead(contact.lead)"
)
_WAS_TOLD_EMAIL = (
    "EXISTS (SELECT 1 FROM attempt WHERE contact_key = contact.key AND kind = 'update' "
    "AND outcome IN ('updated', 'found') AND email_of_lead(fields) IS email_of_lead(contact.lead))"
)
# The lead of a contact that was merged into this one stays until it is undone.
_HAS_EMAIL_OF_MERGED = (
    "EXISTS (SELECT 1 FROM contact AS old WHERE old.merged_into = contact.hubspot_id "
    "AND old.email_key = contact.email_key AND old.lead_id IS NOT NULL)"
)
_INTENTS_BY_RUN = (
    "SELECT id, intents, ifnull(n, 0) FROM run LEFT JOIN "
    "(SELECT run_id, count(*) AS n FROM attempt GROUP BY run_id) ON run_id = id ORDER BY id"
)
_UNOWNED = (
    "SELECT count(DISTINCT lead_id) FROM listed AS one "
    "WHERE NOT EXISTS (SELECT 1 FROM contact WHERE lead_id = one.lead_id)"
)
_ANY_EMAIL = (
    "SELECT EXISTS (SELECT 1 FROM listed AS one WHERE email IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM contact WHERE lead_id = one.lead_id))"
)
# A lead that the ledger assigns to another contact is that contact's, with any e-mail.
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
