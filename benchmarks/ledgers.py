"""
Large ledgers, made at once: what a journey of hours would have left behind.

It writes the rows that the verbs would have written, of the sandbox's own people and by the
mapping's own hand, so that a push against a sandbox of as many contacts goes on with it. Indexes
and triggers are made last, as `schema.sql` has them: to fill them row by row takes most of the
time. So the sums and the history are its own to write, and a test compares them with a real one's.

    python -m benchmarks.ledgers big.db --contacts 1000000
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import sqlite3
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from migrator.canonical_json import canonical_json, without_nulls
from migrator.hold_details import HoldDetail
from migrator.hubspot_responses import modified_ms
from migrator.journey.place import Place, PlaceRecord, Recorded
from migrator.ledger import schema, statements
from migrator.ledger.fingerprint import fingerprint
from migrator.ledger.lock import Lock
from migrator.mapping import DEFAULT, CompanyChoice, Exclusion, choose_company, to_lead
from migrator.sandbox import Sandbox
from migrator.sandbox.companies import Company
from migrator.sandbox.contacts import Contact
from migrator.sandbox.portal import Portal
from migrator.state_folder import state_folder

# How far back the sandbox's people repeat an e-mail, and more.
_NEIGHBOURS = 100


@dataclass(frozen=True)
class Shape:
    """
    What the ledger is to hold.

    Args:
        contacts: As many as the sandbox has.
        left: The last ones that have a lead are still to be sent.
        in_doubt: Those before them were in flight when the push was killed.
        state: Where all others with a lead stand: `mapped` (in which case nothing else counts),
            `posted` or `verified`.
        leadgenius_url, client_id: What the ledger is bound to; `None` = nothing yet.
    """

    contacts: int
    left: int = 100
    in_doubt: int = 8
    state: str = "verified"
    leadgenius_url: str | None = None
    client_id: str | None = None
    seed: int = 1


class _People:
    """The contacts of a sandbox as rows of a ledger, one by one."""

    def __init__(self, shape: Shape) -> None:
        self.companies: dict[str, str | None] = {}
        self._shape = shape
        self._portal = Portal(shape.seed, shape.contacts)
        self._random = random.Random(shape.seed)
        self._gone: set[str] = set()
        self._first: OrderedDict[str, str] = OrderedDict()

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """As `_CONTACT` takes them."""
        for person in islice(self._portal.contacts(), self._shape.contacts):
            yield (*self._row(person), modified_ms({"properties": person.properties}))

    def _row(self, person: Contact) -> tuple[Any, ...]:
        choice = self._choice(person)
        wanted = {name: person.properties.get(name) for name in DEFAULT.contact_properties}
        source = {"id": person.id, "properties": without_nulls(wanted)}
        company = self._company(choice.company_id)
        mapped = to_lead(source, json.loads(company or "null"), Sandbox.portal_id)
        born = (person.id, canonical_json(source), choice.company_id, choice.rule)
        if isinstance(mapped, Exclusion):
            return (*born, "extracted", mapped.reason, json.dumps(mapped.detail), *[None] * 4)
        lead = (
            mapped.email_key,
            canonical_json(mapped.lead),
            ",".join(mapped.derived_fields) or None,
        )
        if (first := self._first_with(mapped.email_key, person.id)) is not None:
            detail = json.dumps(HoldDetail.SAME_EMAIL.of(contact=first))
            return (*born, "mapped", "duplicate_email", detail, *lead, None)
        is_sent = self._shape.state != "mapped"
        lead_id = str(UUID(bytes=self._random.randbytes(16), version=4)) if is_sent else None
        return (*born, self._shape.state, None, None, *lead, lead_id)

    def _first_with(self, email_key: str, hubspot_id: str) -> str | None:
        """HubSpot's id of the contact that has this e-mail already; `None` = this one is it."""
        if email_key in self._first:
            return self._first[email_key]
        self._first[email_key] = hubspot_id
        if len(self._first) > _NEIGHBOURS:
            self._first.popitem(last=False)
        return None

    def _choice(self, person: Contact) -> CompanyChoice:
        given = _as_given(person)
        while True:
            choice = choose_company(given, self._gone)
            if choice.company_id is None or choice.company_id in self._gone:
                return choice
            if self._company(choice.company_id) is not None:
                return choice
            self._gone.add(choice.company_id)

    def _company(self, company_id: str | None) -> str | None:
        if company_id is None:
            return None
        if company_id not in self.companies:
            firm = self._portal.company(company_id)
            given = None if firm is None or firm.silent else canonical_json(_properties(firm))
            self.companies[company_id] = given
        return self.companies[company_id]


def build(path: Path, shape: Shape) -> None:
    """Make the ledger, and the note beside it by which the next process trusts it."""
    _clear(path)
    path.touch(0o600)
    ledger = sqlite3.connect(path, isolation_level=None)
    ledger.create_function("hash_of", 1, partial(_hash_of, shape.client_id))
    for pragma in ("journal_mode = WAL", "synchronous = OFF", "cache_size = -200000"):
        ledger.execute(f"PRAGMA {pragma}")
    whole = list(statements(schema()))
    last = [one for one in whole if re.search(r"^CREATE (UNIQUE )?(INDEX|TRIGGER)", one, re.M)]
    ledger.execute("BEGIN")
    _run(ledger, [one for one in whole if one not in last])
    _fill(ledger, shape)
    _run(ledger, last)
    ledger.execute("COMMIT")
    ledger.close()
    _trust(path)


def copy(path: Path, to: Path) -> None:
    """
    Put a copy of it elsewhere, as if it had always been there, also in this user's state folder.
    """
    _clear(to)
    shutil.copyfile(path, to)
    to.chmod(0o600)
    lock = Lock(path)
    lock.acquire(0)
    lock.release()
    _trust(to)
    with closing(sqlite3.connect(f"file:{to}?mode=ro", uri=True)) as ledger:
        ((uid, intents),) = ledger.execute("SELECT uid, intents FROM ledger")
    record = PlaceRecord(state_folder(os.environ), uid)
    record.begin(Recorded(Place.of(to), intents, owes_looks=False))
    record.close()


def _hash_of(client_id: str | None, lead: str) -> str:
    """The hash of the payload that creates a lead."""
    payload = {"client_id": client_id, **json.loads(lead)}
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


def _clear(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".lock"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _trust(path: Path) -> None:
    lock = Lock(path)
    lock.acquire(0)
    lock.write(fingerprint(path))
    lock.release()


def _fill(ledger: sqlite3.Connection, shape: Shape) -> None:
    people = _People(shape)
    ledger.execute("INSERT INTO mapping VALUES (1, ?, ?, 0)", (DEFAULT.hash, DEFAULT.text))
    _run(ledger, _RUNS)
    ledger.executemany(_CONTACT, people.rows())
    ledger.executemany("INSERT INTO company VALUES (?, ?, 1)", sorted(people.companies.items()))
    if shape.state != "mapped":
        ledger.execute(_LEFT, (shape.left + shape.in_doubt,))
    _run(ledger, _STORIES)
    if shape.state != "mapped":
        ledger.execute(_IN_DOUBT, (shape.left, shape.left + shape.in_doubt))
    if shape.state == "verified":
        _run(ledger, _VERIFIED)
    _run(ledger, _SUMS)
    bound = (Sandbox.portal_id, shape.leadgenius_url, shape.client_id, shape.state != "mapped")
    ledger.execute(_BOUND, bound)
    if shape.state == "mapped":
        ledger.execute("DELETE FROM run WHERE id > 1")


_RUNS = (
    "INSERT INTO run (id, command, pid, host, began_ms, ended_ms, exit_code) VALUES "
    "(1, 'stage', 1, '', 1700000000000, 1700003600000, 0),"
    "(2, 'push', 1, '', 1700003600000, 1700060000000, 0),"
    "(3, 'verify', 1, '', 1700060000000, 1700061000000, 0),"
    "(4, 'push', 1, '', 1700062000000, NULL, NULL)",
)
_CONTACT = (
    "INSERT INTO contact (hubspot_id, source, company_id, company_rule, state, held, detail, "
    "email_key, lead, derived_fields, lead_id, modified_ms, mapping, scan) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1)"
)
_LEFT = (
    "UPDATE contact SET state = 'mapped', lead_id = NULL WHERE key IN "
    "(SELECT key FROM contact WHERE lead_id IS NOT NULL ORDER BY key DESC LIMIT ?)"
)
# When each was sent, by its key.
_AT = "1700003600000 + 50 * key"
_STORIES = (
    "INSERT INTO event SELECT key, 1, 1700000000000 + key, NULL, 'extracted', NULL FROM contact",
    "INSERT INTO event SELECT key, 2, 1700001000000 + key, 'extracted', state, held FROM contact "
    "WHERE state = 'extracted'",
    "INSERT INTO event SELECT key, 2, 1700001000000 + key, 'extracted', 'mapped', held "
    "FROM contact WHERE lead IS NOT NULL",
    f"INSERT INTO event SELECT key, 3, {_AT} + 20, 'mapped', 'posted', NULL "
    "FROM contact WHERE lead_id IS NOT NULL",
    "INSERT INTO attempt (contact_key, number, run_id, payload_hash, sent_ms, ended_ms, status, "
    f"outcome, settled_ms, lead_id) SELECT key, 1, 2, hash_of(lead), {_AT}, {_AT} + 20, 201, "
    f"'created', {_AT} + 20, lead_id FROM contact WHERE lead_id IS NOT NULL",
)
_IN_DOUBT = (
    "INSERT INTO attempt (contact_key, number, run_id, payload_hash, sent_ms) "
    f"SELECT key, 1, 4, hash_of(lead), {_AT} FROM (SELECT key, lead, row_number() OVER "
    "(ORDER BY key DESC) AS place FROM contact WHERE state = 'mapped' AND held IS NULL) "
    "WHERE place > ? AND place <= ?"
)
_VERIFIED = (
    "INSERT INTO event SELECT key, 4, 1700060000000 + key, 'posted', 'verified', NULL "
    "FROM contact WHERE lead_id IS NOT NULL",
    "UPDATE checkpoint SET scan = 1, pages = (SELECT count(*) / 1000 + 1 FROM contact "
    "WHERE lead_id IS NOT NULL) WHERE name = 'verification'",
)
_SUMS = (
    "UPDATE run SET intents = (SELECT count(*) FROM attempt WHERE run_id < run.id)",
    "INSERT INTO state_count SELECT state, ifnull(held, ''), count(*) FROM contact GROUP BY 1, 2",
    "UPDATE checkpoint SET scan = 1, contacts_seen = (SELECT count(*) FROM contact), "
    "met = (SELECT count(*) FROM contact), "
    "pages = (SELECT count(*) / 100 + 1 FROM contact) WHERE name = 'extraction'",
)
_BOUND = (
    "UPDATE ledger SET portal_id = ?, leadgenius_url = ?, client_id = ?, mapping = 1, "
    "canary_ms = iif(?, 1700003600000, NULL), "
    "intents = (SELECT count(*) FROM attempt)"
)


def _run(ledger: sqlite3.Connection, scripts: Sequence[str]) -> None:
    for statement in scripts:
        ledger.execute(statement)


def _as_given(person: Contact) -> dict[str, Any]:
    rows = [{"id": company_id, "type": kind} for company_id, kind in person.companies]
    return {
        "id": person.id,
        "properties": person.properties,
        "associations": {"companies": {"results": rows}},
    }


def _properties(firm: Company) -> dict[str, str]:
    asked = {name: firm.properties.get(name) for name in DEFAULT.company_properties}
    # What HubSpot gives of each, asked or not.
    dates = dict.fromkeys(("createdate", "hs_lastmodifieddate"), "2018-05-01T09:00:00.000Z")
    return without_nulls({**asked, **dates, "hs_object_id": firm.id})


def main(words: Sequence[str]) -> None:
    """Make the ledger that a command line describes."""
    parser = argparse.ArgumentParser(prog="benchmarks.ledgers")
    parser.add_argument("path", type=Path)
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--left", type=int, default=100)
    parser.add_argument("--in-doubt", type=int, default=8)
    parser.add_argument("--state", choices=["mapped", "posted", "verified"], default="verified")
    parser.add_argument("--leadgenius-url")
    parser.add_argument("--client-id")
    args = parser.parse_args(words)
    build(
        args.path,
        Shape(
            args.contacts,
            args.left,
            args.in_doubt,
            args.state,
            args.leadgenius_url,
            args.client_id,
        ),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
