"""
Decisions on fields in conflict: four columns each in the table of held contacts.

`FIELD: sent`, `FIELD: in LeadGenius` and `FIELD: in HubSpot` show the values; in `FIELD: decision`
a person enters the value that is to be there, or a word for one of them. An empty cell decides
nothing. A decision is about the value that LeadGenius showed: `update` ignores it once another one
is there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from migrator.amend.csv_table import CsvRow, plain
from migrator.comparison import merged_notes
from migrator.hold_details import why_not_written
from migrator.ledger import AmendableContact, Ledger
from migrator.mapping_versions import active_rules
from migrator.states import Hold

SENT, THERE, NEW, DECISION = (": sent", ": in LeadGenius", ": in HubSpot", ": decision")
_PARTS = (SENT, THERE, NEW, DECISION)
# Words for a value, as people type them.
_EMPTY = "(empty)"
_WORDS = {"(leadgenius)": "there", "(hubspot)": "new"}


@dataclass(frozen=True)
class Decision:
    """
    A decision on a field.

    Args:
        there: The value that LeadGenius showed.
        value: The value that is to be there; "" = none.
    """

    there: str
    value: str


def columns(fields: Sequence[str]) -> tuple[str, ...]:
    """The columns of these fields."""
    return tuple(field + part for field in fields for part in _PARTS)


def fields_in_conflict(ledger: Ledger) -> list[str]:
    """The fields that any contact waits for a decision on, sorted."""
    return sorted({name for one in ledger.since_sent.conflicts() for name in one.conflict or {}})


def known_fields(ledger: Ledger) -> list[str]:
    """All fields that a table may have columns for: it may be older than a conflict's end."""
    rules = active_rules(ledger)
    return sorted({"notes", *rules.fields, *rules.constants, *fields_in_conflict(ledger)})


def conflict_of(contact: AmendableContact) -> dict[str, Mapping[str, str | None]]:
    """The three values of each field of a contact that is to be decided."""
    found = dict(contact.conflict or {})
    if contact.held is Hold.DIFFERENT and (notes := found.get("notes")):
        # What others wrote stays: `verify` has stored only our lines.
        text = merged_notes(notes["sent"], notes["new"] or "", notes["there"] or "")
        found["notes"] = {**notes, "new": text}
    return found


def cells(contact: AmendableContact, fields: Sequence[str]) -> Iterator[str]:
    """The cells of a contact in the columns of these fields."""
    found, decided = conflict_of(contact), contact.decided or {}
    for field in fields:
        one = found.get(field, {})
        yield from (one.get(name) or "" for name in ("sent", "there", "new"))
        yield (decided[field]["value"] or _EMPTY) if field in found and field in decided else ""


def decision_cells(row: CsvRow) -> dict[str, str]:
    """The filled cells of a row that decide something, by column."""
    return {
        name: cell for name, cell in row.cells.items() if name.endswith(DECISION) and cell.strip()
    }


def decisions(contact: AmendableContact, row: CsvRow) -> tuple[dict[str, Decision], dict[str, str]]:
    """
    The new decisions of a row by field, and why others are refused.

    One that the ledger has already is left out.
    """
    found, known = conflict_of(contact), contact.decided or {}
    decided: dict[str, Decision] = {}
    refused: dict[str, str] = {}
    for column, cell in decision_cells(row).items():
        field = column.removesuffix(DECISION)
        if field not in found:
            refused[field] = "it is not in conflict, so there is nothing to decide"
            continue
        values = found[field]
        decision = Decision(values["there"] or "", _value(cell, values))
        if known.get(field) == vars(decision):
            continue
        if _is_stale(row, field, values):
            refused[field] = "its values have changed since the table was written"
        elif column in row.rounded:
            refused[field] = f"{cell} is a number that the spreadsheet rounded"
        elif decision.value == values["new"] and (why := why_not_written(field, values)):
            refused[field] = f"{why}: correct it in LeadGenius, then migrator update"
        else:
            decided[field] = decision
    return decided, refused


def _value(cell: str, values: Mapping[str, str | None]) -> str:
    """The value that a cell stands for, as the ledger has it rather than as a spreadsheet."""
    word = cell.strip().casefold()
    if word == _EMPTY:
        return ""
    for name in (_WORDS.get(word), "there", "new"):
        if name and (name == _WORDS.get(word) or cell == plain(values[name] or "")):
            return values[name] or ""
    return cell.strip()


def _is_stale(row: CsvRow, field: str, values: Mapping[str, str | None]) -> bool:
    return any(
        row.cells.get(field + part, now) != now
        for part, now in (
            (THERE, plain(values["there"] or "")),
            (NEW, plain(values["new"] or "")),
        )
    )
