"""
What a table that came back changes, contact by contact; or everything that speaks against it.

A cell counts as changed when it is not what would be written there today, so a table that nobody
edited changes nothing. What a person turned back to HubSpot's value is amended no more.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from migrator.amend.table import CONTACT, FIELDS, effective, original
from migrator.ledger import Ledger, Standing
from migrator.spreadsheet import Row, Table, plain, refuse
from migrator.states import Hold, State


@dataclass(frozen=True)
class Change:
    """
    What a row changes of its contact.

    Args:
        was_held: Why it waits for a person so far; `None` = it does not.
        fields: Old and new value by column; "" = missing.
        amended: All that is amended of it from now on, JSON; `None` = nothing.
    """

    hubspot_id: str
    was_held: Hold | None
    fields: Mapping[str, tuple[str, str]]
    amended: str | None


def plan(ledger: Ledger, table: Table, path: Path) -> list[Change]:
    """
    Compare a table with the ledger.

    Args:
        path: Where the table came from, for the words.

    Raises:
        UsageError: something cannot be done; all of it is named, by row.
    """
    ids = [row.cells[CONTACT] for row in table.rows]
    known = ledger.amending.find(ids)
    faults = list(_faults_of_ids(ledger, table, known))
    changes = []
    for row in table.rows:
        contact = known.get(row.cells[CONTACT])
        if contact is None or not (fields := _fields(ledger, contact, row)):
            continue
        faults += [f"row {row.number}, {words}" for words in _faults(contact, row, fields)]
        amended = _amended(ledger, contact, fields)
        changes.append(Change(contact.hubspot_id, contact.held, fields, amended))
    refuse(path, faults, f"correct these rows, then: migrator amend {shlex.quote(str(path))}")
    return changes


def _faults_of_ids(ledger: Ledger, table: Table, known: Mapping[str, Standing]) -> Iterator[str]:
    """Rows that name no contact for certain, and contacts that are named twice."""
    shortened = {one.lstrip("0"): one for one in ledger.amending.with_leading_zeros()}
    first: dict[str, int] = {}
    for row in table.rows:
        hubspot_id = row.cells[CONTACT]
        where = f"row {row.number}"
        if CONTACT in row.rounded:
            yield (
                f"{where}: {hubspot_id} may be an id that the spreadsheet rounded; format the "
                "column as text, and type the id with ' in front"
            )
        elif hubspot_id in shortened:
            yield (
                f"{where}: {hubspot_id} may be {shortened[hubspot_id]}, whose zeros the "
                "spreadsheet took; type the id with ' in front"
            )
        elif hubspot_id not in known:
            named = f"{hubspot_id[:40]!r} is no contact of this ledger" if hubspot_id else ""
            yield f"{where}: {named or 'it names no contact'}"
        if hubspot_id and first.setdefault(hubspot_id, row.number) != row.number:
            yield f"{where}: contact {hubspot_id} stands in row {first[hubspot_id]} already"


def _fields(ledger: Ledger, contact: Standing, row: Row) -> dict[str, tuple[str, str]]:
    """The columns that are not as they were written: old and new value."""
    before = effective(ledger, contact)
    return {
        name: (before[name], row.cells[name])
        for name in FIELDS
        if name in row.cells and row.cells[name] != plain(before[name])
    }


def _faults(contact: Standing, row: Row, fields: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    if (words := _why_not(contact)) is not None:
        yield f"contact {contact.hubspot_id}: {words}"
    for name in sorted(fields.keys() & row.rounded):
        yield (
            f"{name}: {row.cells[name]} is a number that the spreadsheet rounded; format the "
            "column as text, and type it with ' in front"
        )


def _why_not(contact: Standing) -> str | None:
    """Why it cannot be amended; `None` = it can."""
    if contact.is_open:
        return "it is in doubt; first: migrator push --resume"
    if contact.held is Hold.MISSING and contact.state is State.POSTED:
        named = shlex.quote(contact.hubspot_id)
        return f"LeadGenius had its lead; first: migrator retry --reason missing {named}"
    if contact.state in (State.POSTED, State.VERIFIED):
        return f"it is {contact.state}, LeadGenius has its lead; correct it there"
    return None


def _amended(
    ledger: Ledger, contact: Standing, fields: Mapping[str, tuple[str, str]]
) -> str | None:
    given = original(ledger, contact)
    amended: dict[str, str | None] = ledger.decoded(contact.amended or "{}")
    for name, (_, new) in fields.items():
        if new == plain(given[name]):
            amended.pop(name, None)
        else:
            amended[name] = new if new.strip() else None
    return json.dumps(amended, ensure_ascii=False, sort_keys=True) if amended else None
