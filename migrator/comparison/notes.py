"""
Merges a changed lead's notes into the listed ones, line by line (life, section 3).

The notes of the base and of the new lead consist of our lines only: the opening, the record line,
and `label: value`. The listed notes can also have lines of other people. These are never changed,
moved or removed, and keep their spaces and, if possible, their line ends.

A line of the base corresponds to the line of the new lead with the same label; the opening and the
record line count as labels. Lines are compared without surrounding spaces, in one Unicode form. If
the listed notes have no line equal to ours, ours was rewritten if exactly one line of unknown
origin has its label there; otherwise it was removed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from migrator.mapping import comparable, note_lines, records_in

_OPENING = ""  # it has no label of its own
_RECORD = "[HubSpot record"  # what stands before the colon of any record line
_LINE_ENDS = ("\n", "\r\n", "\r")


@dataclass(frozen=True)
class MergedNotes:
    """
    The listed notes with our changes in them.

    Args:
        text: The notes to write; the listed ones if there is nothing to change.
        has_conflict: Whether a line of ours that was rewritten or removed there is to be changed.
    """

    text: str
    has_conflict: bool


@dataclass(eq=False)
class _Row:
    """A line of the listed notes; two rows with equal texts are different rows."""

    text: str
    end: str = ""


@dataclass
class _OurLine:
    """
    A line of ours.

    Args:
        before: As in the base; None = the base has none.
        after: As in the new lead; None = it has none.
        row: Where it is listed, unchanged or rewritten; None = nowhere.
        is_found: Whether the row is as in the base, or as in the new lead.
    """

    label: str
    before: str | None
    after: str | None
    row: _Row | None = None
    is_found: bool = False


def merge_notes(
    base: str | None, new: str, there: str, *, overwrite: bool = False, is_disputed: bool = False
) -> MergedNotes:
    """
    Merge our lines of the new lead into the listed notes.

    Args:
        base: Our lines as LeadGenius was last told; None = unknown, so that each line of `new` that
            is not listed is in conflict.
        new: Our lines as they would be sent now.
        there: The listed notes.
        overwrite: Whether to write our lines that are in conflict, too.
        is_disputed: Whether our lines that differ there are in conflict even if they are the same
            in base and new lead.
    """
    rows = _rows(there)
    lines = list(_our_lines(base or "", new))
    _find(lines, rows, is_unknown=base is None)
    has_conflict = False
    last: _Row | None = None
    for line in lines:
        is_lost = not line.is_found and (line.before is not None or base is None)
        is_changed = line.before != line.after or is_disputed
        is_in_conflict = bool(is_lost and is_changed and (line.row or line.after))
        if not is_lost or (is_in_conflict and overwrite):
            _write(line, rows, last)
        has_conflict |= is_in_conflict
        last = line.row or last
    return MergedNotes(_joined(rows, there), has_conflict)


def keep_record_line(base: str | None, new: str, text: str) -> str:
    """Return notes that a person wrote, with the record line of the new lead in them."""
    told = None if base is None else _record_line(base)
    return merge_notes(told, _record_line(new), text, overwrite=True, is_disputed=True).text


def _record_line(notes: str) -> str:
    return next(filter(records_in, note_lines(notes)), "")


def _our_lines(base: str, new: str) -> Iterator[_OurLine]:
    """The lines of the new lead, in their order, then those that only the base has."""
    before, after = _labelled(base), _labelled(new)
    for label in {**after, **before}:
        yield _OurLine(label, before.get(label), after.get(label))


def _labelled(notes: str) -> dict[str, str]:
    """Our lines by label; a mapping has no label twice."""
    lines = note_lines(notes)
    record = next((place for place, line in enumerate(lines) if records_in(line)), 0)
    return {
        _OPENING if place < record or ": " not in line else line.partition(": ")[0]: line
        for place, line in enumerate(lines)
    }


def _rows(notes: str) -> list[_Row]:
    rows = []
    for line in notes.splitlines(keepends=True):
        text = line.splitlines()[0]
        rows.append(_Row(text, line[len(text) :]))
    return rows


def _find(lines: list[_OurLine], rows: list[_Row], *, is_unknown: bool) -> None:
    """Find the row of each line, as it was told before all else."""
    free = list(rows)

    def take(text: str | None) -> _Row | None:
        row = next((row for row in free if text and comparable(row.text) == text), None)
        if row:
            free.remove(row)
        return row

    for line in lines:
        line.row = take(line.before)
    for line in lines:
        is_record = line.label == _RECORD and line.before != line.after
        if (line.row is None or is_record) and (row := take(line.after)):
            if line.row:  # a record line must not be there twice
                rows.remove(line.row)
            line.row = row
        line.is_found = line.row is not None
    for line in lines:
        if line.row is None and (line.before is not None or is_unknown):
            line.row = _take_rewritten(line.label, free)


def _take_rewritten(label: str, rows: list[_Row]) -> _Row | None:
    start = f"{label}:".casefold()
    found = [
        row
        for row in rows
        if label != _OPENING
        and comparable(row.text).casefold().startswith(start)
        and not records_in(row.text)  # another contact's
    ]
    if len(found) != 1:
        return None
    rows.remove(found[0])
    return found[0]


def _write(line: _OurLine, rows: list[_Row], last: _Row | None) -> None:
    """Bring a line into the notes, behind `last` if it is new there, or take it out."""
    if line.after is None:
        if line.row:
            rows.remove(line.row)
            line.row = None
    elif line.row is None:
        line.row = _Row(line.after)
        rows.insert(rows.index(last) + 1 if last else 0, line.row)
    elif comparable(line.row.text) != line.after:
        line.row.text = line.after


def _joined(rows: list[_Row], there: str) -> str:
    """The text of the rows; new ones have the first usual line end."""
    ends = [row.end for row in _rows(there)]
    usual = next((end for end in ends if end in _LINE_ENDS), "\n")
    is_open = not (ends and ends[-1])  # whether the last line has no end
    for row in rows[:-1] if is_open else rows:
        row.end = row.end or usual
    text = "".join(row.text + row.end for row in rows)
    if len(_rows(text)) == len(rows):
        return text
    # `\r` and `\n` of two lines came together, and became one line end.
    return "".join(row.text + ("\n" if row.end else "") for row in rows)
