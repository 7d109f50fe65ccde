"""What an undo would delete and what it keeps: the tables that it shows before it asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from rich.box import SIMPLE
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from migrator.comparison import KeepReason
from migrator.report.layout import print_to
from migrator.text import count_noun, one_line

SHOWN = 20

KEEP_REASONS: Mapping[KeepReason, str] = {
    KeepReason.ADOPTED: "not created by this ledger: --adopted deletes it, too, if unedited",
    KeepReason.OTHER_CLIENT: "it was moved to another client",
    KeepReason.NOT_SHOWN: "the listing does not show all fields that were sent",
    KeepReason.NO_RECORD_LINE: "its record line is gone",
    KeepReason.EDITED: "it was edited in LeadGenius",
    KeepReason.STATUS_CHANGED: "its status changed in LeadGenius, or is not known",
    KeepReason.NOTES_ADDED: "its notes were added to in LeadGenius",
    KeepReason.OPEN: "another write of its contact is in doubt",
    KeepReason.NOT_LISTED: "LeadGenius has it, but does not list it",
    KeepReason.OWN_NOT_LISTED: "the lead that its contact keeps is not listed",
    KeepReason.BACK_AT_HUBSPOT: "HubSpot has its contact again",
    KeepReason.REFUSED: "LeadGenius refused to delete it",
    KeepReason.GAVE_UP: "several attempts to delete it failed",
    KeepReason.NAMELESS: "a row without an id may be it; ask LeadGenius to repair that row",
    KeepReason.STILL_LISTED: "LeadGenius says that it deleted it, and still lists it",
}


class DueRow(Protocol):
    """A lead to delete; see `undo.DueLead`."""

    @property
    def contact(self) -> str: ...
    @property
    def lead_id(self) -> str: ...


class KeptRow(Protocol):
    """A lead that is kept; see `undo.KeptLead`."""

    @property
    def contact(self) -> str: ...
    @property
    def lead(self) -> str | None: ...
    @property
    def why(self) -> KeepReason: ...


class UndoRows(Protocol):
    """See `undo.UndoPlan`."""

    @property
    def due(self) -> Sequence[DueRow]: ...
    @property
    def kept(self) -> Sequence[KeptRow]: ...


def render(plan: UndoRows, console: Console) -> None:
    """Print the tables to a console."""
    print_to(lambda is_utf8: _parts(plan), console)


def _parts(plan: UndoRows) -> Iterable[RenderableType]:
    rows = [(one.contact, one.lead_id, "delete") for one in plan.due[:SHOWN]]
    if rows:
        yield _table(rows)
        yield from _more(len(plan.due), "lead to delete", "leads to delete")
    kept = [(one.contact, one.lead or "", kept_words(one)) for one in plan.kept[:SHOWN]]
    if kept:
        yield _table(kept)
        yield from _more(len(plan.kept), "lead to keep", "leads to keep")


def _table(rows: Sequence[tuple[str, str, str]]) -> Table:
    table = Table(box=SIMPLE)
    for title in ("contact", "lead", ""):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    return table


def _more(number: int, one: str, many: str) -> Iterator[Text]:
    if (more := number - SHOWN) > 0:
        yield Text(f"and {more:,} more {one if more == 1 else many}")


def kept_words(kept: KeptRow) -> str:
    """Why a lead is kept, in words."""
    return f"keep: {KEEP_REASONS[kept.why]}"


def kept_lines(kept: Sequence[KeptRow]) -> list[str]:
    """The first of the leads that are kept, a line each."""
    lines = [
        one_line(
            f"contact {one.contact}: lead {one.lead or 'unknown'} kept: {KEEP_REASONS[one.why]}"
        )
        for one in kept[:SHOWN]
    ]
    if (more := len(kept) - SHOWN) > 0:
        lines.append(f"and {count_noun(more, 'more lead')} kept; --json names all")
    return lines


def as_json(kept: Sequence[KeptRow]) -> list[dict[str, Any]]:
    """The leads that are kept, one object each."""
    return [{"contact": one.contact, "lead": one.lead, "why": str(one.why)} for one in kept]
