"""
The table of figures: what a row says, how it is judged, and how it is written.

Owns the verdict on a figure and the Markdown. It must never measure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_BEGIN, _END = "<!-- {name}: begin -->", "<!-- {name}: end -->"


@dataclass(frozen=True, slots=True)
class Row:
    """
    One figure beside its reference.

    Args:
        measured: Of the product, in `unit`.
        reference: The same of the barest form, in the same run; None = the figure stands alone.
        kind: What is judged: the `ratio` to the reference, the `difference` from it, or the
            measured figure `alone`.
        at_least: Whether more is better.
        cpu: CPU seconds per 1,000 contacts, of the product and of the reference.
        peak_mb, disk_bytes: Of the product; the bytes are of the whole ledger.
        note: What a reader must know to believe it.
    """

    what: str
    measured: float
    unit: str
    reference: float | None = None
    kind: str = "ratio"
    target: float | None = None
    aim: float | None = None
    at_least: bool = False
    cpu: tuple[float, float | None] | None = None
    peak_mb: float | None = None
    disk_bytes: float | None = None
    note: str = ""

    @property
    def judged(self) -> float:
        """The figure that target and aim are about."""
        if self.reference is None or self.kind == "alone":
            return self.measured
        if self.kind == "difference":
            return self.measured - self.reference
        return self.measured / self.reference

    @property
    def verdict(self) -> str:
        """In words; empty where nothing was asked for."""
        if self.target is None:
            return ""
        if self.aim is not None and self._is_within(self.aim):
            return "aim met"
        return "target met" if self._is_within(self.target) else "MISSED"

    def _is_within(self, bound: float) -> bool:
        return self.judged >= bound if self.at_least else self.judged <= bound

    def as_json(self) -> dict[str, Any]:
        """Every field, and what they come to."""
        return {**asdict(self), "judged": self.judged, "verdict": self.verdict}


def table(rows: Iterable[Row]) -> str:
    """The rows as Markdown that reads well as text too."""
    heads = "what|measured|reference|judged|target|aim|verdict|CPU s/1,000|peak MB|bytes on disk"
    return markdown([heads.split("|"), *map(_cells, rows)])


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table of cells, the first line its heads; the columns are as wide as they must be."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *rest = (
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([head, rule, *rest]) + "\n"


def notes(rows: Iterable[Row]) -> str:
    """What must be known to believe the figures, a line each."""
    return "".join(f"- {row.what}: {row.note}\n" for row in rows if row.note)


def write_between(path: Path, name: str, text: str) -> None:
    """
    Put a text in the place of what stands between two comments of a page.

    Raises:
        ValueError: the page has no such comments.
    """
    begin, end = _BEGIN.format(name=name), _END.format(name=name)
    page = path.read_text(encoding="utf-8")
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{path} has no {begin} and {end}")
    path.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", encoding="utf-8")


def _cells(row: Row) -> list[str]:
    ours, theirs = row.cpu or (None, None)
    cpu = number(ours) + (f" ({number(theirs)})" if theirs is not None else "")
    reference = "" if row.reference is None else f"{number(row.reference)} {row.unit}"
    return [
        row.what,
        f"{number(row.measured)} {row.unit}",
        reference,
        _judged(row, row.judged) if row.reference is not None and row.kind != "alone" else "",
        _bound(row, row.target),
        _bound(row, row.aim),
        row.verdict,
        cpu,
        number(row.peak_mb),
        number(row.disk_bytes),
    ]


def _bound(row: Row, bound: float | None) -> str:
    if bound is None:
        return ""
    return ("≥ " if row.at_least else "≤ ") + _judged(row, bound)


def _judged(row: Row, value: float) -> str:
    if row.reference is None or row.kind == "alone":
        return f"{number(value)} {row.unit}"
    if row.kind == "difference":
        return f"{'-' if value < 0 else '+'}{number(abs(value))} {row.unit}"
    return f"{value:.1%}" if row.at_least else f"{value:.2f} ×"


def number(value: float | None) -> str:
    """Three digits that count, and no more."""
    if value is None:
        return ""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
