"""Rows in columns, as plain text: aligned by what a terminal shows, whole in a pipe."""

import shutil
import sys
from collections.abc import Sequence
from unicodedata import combining, east_asian_width

from migrator.text import one_line

_GAP = "  "
# A value that is longer moves what follows it in its own row, and not in all the others.
_WIDEST = 40


def in_columns(rows: Sequence[Sequence[str]]) -> str:
    """
    The rows one below the other, each column as wide as its widest value, within reason.

    On a terminal the last column is cut where the line would break.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [min(_WIDEST, max(map(shown, column))) for column in zip(*cells, strict=True)]
    return "\n".join(_line(row, widths) for row in cells)


def line_width() -> int | None:
    """How wide a line may be; `None` = as long as it is, for it goes to a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def shown(text: str) -> int:
    """How many places a text takes on a terminal."""
    return sum(2 if east_asian_width(one) in "WF" else not combining(one) for one in text)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - shown(cell)) for cell, width in zip(row, widths, strict=True)]
    line = _GAP.join(padded).rstrip()
    limit = line_width()
    if limit is None or shown(line) <= limit:
        return line
    while shown(line) > limit - 3:
        line = line[:-1]
    return line + "..."
