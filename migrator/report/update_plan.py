"""What an update would write: the table that it shows before it asks, and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from rich.box import SIMPLE
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from migrator.report.layout import print_to
from migrator.text import count_noun, one_line

SHOWN = 20

_WORDS = {
    "change": "write",
    "conflict": "conflict: not written",
    "already": "there already",
    "kept": "keep what is there",
    "not_cleared": "emptied in HubSpot: not cleared",
    "not_shown": "LeadGenius does not list it: not written",
    "not_kept": "LeadGenius does not keep it: not written",
}


class Row(Protocol):
    """A field of a lead; see `update.PlannedField`."""

    @property
    def hubspot_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def sent(self) -> str | None: ...
    @property
    def there(self) -> str: ...
    @property
    def new(self) -> str: ...


class UpdateTable(Protocol):
    """See `update.UpdatePlan`."""

    @property
    def rows(self) -> Sequence[Row]: ...
    @property
    def fields(self) -> int: ...
    @property
    def to_write(self) -> dict[int, Any]: ...
    @property
    def missing(self) -> Sequence[int]: ...


def render(plan: UpdateTable, console: Console) -> None:
    """Print the table to a console."""
    print_to(lambda is_utf8: _parts(plan), console)


def _parts(plan: UpdateTable) -> Iterable[RenderableType]:
    table = Table(box=SIMPLE)
    for title in ("contact", "field", "sent", "in LeadGenius", "in HubSpot", ""):
        table.add_column(title, overflow="fold")
    for row in plan.rows[:SHOWN]:
        sent = "unknown" if row.sent is None else row.sent
        cells = (row.hubspot_id, row.name, sent, row.there, row.new, _WORDS[row.what])
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    yield table
    if (more := plan.fields - min(SHOWN, len(plan.rows))) > 0:
        yield Text(f"and {count_noun(more, 'more field')}")
    if plan.missing:
        yield Text(f"{count_noun(len(plan.missing), 'lead')} missing: nothing is written for them")


def as_json(plan: UpdateTable) -> list[dict[str, Any]]:
    """The same fields, one object each."""
    return [
        {
            "contact": row.hubspot_id,
            "field": row.name,
            "what": row.what,
            "sent": row.sent,
            "there": row.there,
            "new": row.new,
        }
        for row in plan.rows
    ]
