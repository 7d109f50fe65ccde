"""The table of held contacts: one row each, with the reason, what to decide, and its values."""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from migrator.amend.csv_table import CsvRow, CsvTable, plain, read, write
from migrator.amend.decisions import (
    DECISION,
    cells,
    columns,
    decision_cells,
    decisions,
    fields_in_conflict,
    known_fields,
)
from migrator.errors import UsageError
from migrator.ledger import AmendableContact, Ledger
from migrator.mapping import COMPANY_PREFIX, overlay, values
from migrator.mapping_versions import active_rules

# These cannot be names of properties: HubSpot's contain neither spaces nor parentheses.
CONTACT = "HubSpot id"
_TO_READ_ONLY = ("(state)", "(reason)", "(detail)")
MARK = "(as written)"


def fields(ledger: Ledger) -> tuple[str, ...]:
    """The columns that can be amended: the properties that the active mapping reads."""
    rules = active_rules(ledger)
    return (
        # The company was chosen when HubSpot was read; amending its id would have no effect.
        *(name for name in rules.contact_properties if name != "associatedcompanyid"),
        *(COMPANY_PREFIX + name for name in rules.company_properties),
    )


def export(ledger: Ledger, path: Path) -> int:
    """
    Write all held contacts to a table, read in one transaction.

    Returns:
        The number of contacts.

    Raises:
        UsageError: the file cannot be written, or exists and must not be lost.
    """
    with ledger.transaction():
        names, decided = fields(ledger), fields_in_conflict(ledger)

        def check(old: Path) -> None:
            _refuse_to_lose(ledger, old, names)

        return write(path, _columns(names, decided), _rows(ledger, names, decided), check)


def take_back(ledger: Ledger, path: Path) -> CsvTable:
    """Read an edited table; raises UsageError when it is not one."""
    return read(path, _columns(fields(ledger), known_fields(ledger)), CONTACT)


def edited(
    contact: AmendableContact, row: CsvRow, names: Sequence[str]
) -> dict[str, tuple[str, str]] | None:
    """
    The edits of a row: current value and new value, by column.

    The row's mark identifies the values that were written, so that a change made elsewhere since
    does not count as an edit. A row without a mark is compared with the current values.

    Returns:
        `None` = it was edited, but the values that were written are out of date.
    """
    counts = effective(contact, names)
    written: Mapping[str, str] | None = counts
    if mark := row.cells.get(MARK, "").strip():
        if is_as_written(contact, row, names):
            return {}
        # A table may be applied twice; the second time its own amendments are in effect.
        own = original(contact, names)
        written = next((one for one in (counts, own) if mark == mark_of(one)), None)
    changed = {
        name: (old, row.cells[name])
        for name, old in counts.items()
        if name in row.cells and _differs(row.cells[name], old)
    }
    if written is None:
        return None if changed else {}
    return {name: change for name, change in changed.items() if _differs(change[1], written[name])}


def is_as_written(contact: AmendableContact, row: CsvRow, names: Sequence[str]) -> bool:
    """Whether a row is as `export` wrote it."""
    values = effective(contact, names)
    cells = {name: row.cells.get(name, value) for name, value in values.items()}
    return row.cells.get(MARK, "").strip() == mark_of({**cells, **decision_cells(row)})


def mark_of(values: Mapping[str, str]) -> str:
    """A hash of a row's values as written; it never looks like a number."""
    text = json.dumps({name: plain(value) for name, value in values.items()}, sort_keys=True)
    return f"v{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _differs(cell: str, value: str) -> bool:
    return cell != plain(value) and bool(cell.strip() or value.strip())


def _refuse_to_lose(ledger: Ledger, path: Path, names: Sequence[str]) -> None:
    """Refuse to overwrite anything but a table without pending edits."""
    try:
        table = read(path, _columns(names, known_fields(ledger)), CONTACT)
    except UsageError:
        table = None
    if table is None or MARK not in table.columns:
        raise UsageError(
            f"{path} is not a table of held contacts, so it is not overwritten.",
            "name another file",
        )
    known = ledger.amendments.find([row.cells[CONTACT] for row in table.rows])
    for row in table.rows:
        contact = known.get(row.cells[CONTACT])
        if contact is None or _is_pending(contact, row, names):
            raise UsageError(
                f"{path} has corrections that are not applied yet.",
                f"migrator amend {shlex.quote(str(path))}, or name another file",
            )


def _is_pending(contact: AmendableContact, row: CsvRow, names: Sequence[str]) -> bool:
    """Whether a row has corrections or decisions that the ledger does not have."""
    if is_as_written(contact, row, names):
        return False
    return edited(contact, row, names) != {} or any(decisions(contact, row))


def effective(contact: AmendableContact, names: Sequence[str]) -> dict[str, str]:
    """The current values by column: HubSpot's with the amendments."""
    return values(*overlay(contact.source, contact.company, contact.amended), names)


def original(contact: AmendableContact, names: Sequence[str]) -> dict[str, str]:
    """HubSpot's values by column."""
    return values(contact.source, contact.company, names)


def _columns(names: Sequence[str], decided: Sequence[str]) -> tuple[str, ...]:
    return (CONTACT, *_TO_READ_ONLY, *columns(decided), *names, MARK)


def _rows(ledger: Ledger, names: Sequence[str], decided: Sequence[str]) -> Iterator[list[str]]:
    for one in ledger.amendments.held():
        about = (one.hubspot_id, one.state, one.held or "", one.detail or "")
        counts = effective(one, names)
        asked = dict(zip(columns(decided), cells(one, decided), strict=True))
        answers = {name: cell for name, cell in asked.items() if name.endswith(DECISION) and cell}
        yield [*about, *asked.values(), *counts.values(), mark_of({**counts, **answers})]
