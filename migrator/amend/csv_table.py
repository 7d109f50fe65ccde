"""
Tables for spreadsheets: CSV that is safe to open in one, and what one writes back.

Owns csv. A cell that a spreadsheet would calculate or round gets an apostrophe in front, which
`read` takes off: what was written comes back as it was. It knows columns and cells, no contacts,
and never mends what it reads: what does not fit is named.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from typing import TextIO

from migrator.errors import UsageError
from migrator.private_files import atomic_write

_MOST_FAULTS = 20
_LONGEST_CELL = 2**31 - 1
_DELIMITERS = ",;\t"
_GUARD = "'"

# A spreadsheet that takes another delimiter for the table's begins a cell behind each of these.
_CELL_START = r"(?:\A|(?<=[;\t\n]))"
_BLANKS = r"(?:[^\S\t\n]|[\u200b-\u200f\u2060\ufeff])*+"
_TO_GUARD = re.compile(rf"{_CELL_START}(?=[\t\n]|{_BLANKS}[=+\-@＝＋－＠'])")
_GUARDED = re.compile(rf"{_CELL_START}{_GUARD}")

# Written back as something else: 007 as 7, 12 digits as 1.2E+11, 3/4 as a date. Eleven digits are
# shown as they are.
_NUMBER_LIKE = re.compile(r"(?=.*\d)[\d\s.,:/%()$€£eE+\-]+(?:[aApP][mM])?|true|false", re.I | re.S)
_UNHARMED = re.compile(r"0|[1-9][0-9]{0,10}")
_SCIENTIFIC = re.compile(r"[0-9]+(?:[.,][0-9]+)?[eE]\+?[0-9]+")
_LONG = re.compile(r"[0-9]{16,300}")

_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")  # UTF-8 has no bytes for halves of a pair
_LINE_END = re.compile(r"\r\n?")

_SAVE_AS = 'save it as "CSV UTF-8" (comma delimited), then run the same command again'


@dataclass(frozen=True)
class CsvRow:
    """
    One row of a table.

    Args:
        number: As a spreadsheet counts: the header is row 1.
        cells: By column; a short row has none for its last columns, but for the key.
        rounded: Columns whose number a spreadsheet has rounded, or may have.
    """

    number: int
    cells: Mapping[str, str]
    rounded: frozenset[str]


@dataclass(frozen=True)
class CsvTable:
    """The rows of a file that hold anything, below their header."""

    columns: tuple[str, ...]
    rows: tuple[CsvRow, ...]


def plain(text: str) -> str:
    """Return a text as a cell can hold it; two texts that are one to a cell become the same."""
    return _NO_TEXT.sub("\ufffd", _LINE_END.sub("\n", text))


def guarded(text: str) -> str:
    """Return a plain text so that no spreadsheet calculates or rounds it."""
    safe = _TO_GUARD.sub(_GUARD, text)
    is_harmed = _NUMBER_LIKE.fullmatch(text) and not _UNHARMED.fullmatch(text)
    return _GUARD + safe if is_harmed and not safe.startswith(_GUARD) else safe


# Writing


def write(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    check: Callable[[Path], None] = lambda path: None,
) -> int:
    """
    Write a table at once, for its owner alone, a row at a time.

    Args:
        check: Asked about a file with anything in it, before its place is taken; it may raise.

    Returns:
        How many rows there are below the header.

    Raises:
        UsageError: no file can be made there.
    """
    with ExitStack() as stack:
        try:
            target = path.resolve()
            if target.exists() and not target.is_file():
                raise UsageError(
                    f"{path} is something else, and stays as it is.", "name another file"
                )
            if target.exists() and target.stat().st_size:
                check(path)
            stream = stack.enter_context(atomic_write(target))
        except (OSError, RuntimeError) as error:  # the latter is a loop of links
            raise _unwritable(path, error) from None
        return _write(stream, columns, rows)


def _unwritable(path: Path, error: Exception) -> UsageError:
    cause = getattr(error, "strerror", None) or "its name leads nowhere"
    return UsageError(
        f"{path} cannot be written: {cause}.", "name a file in a folder that is yours to write in"
    )


def _write(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    stream.write("\ufeff")  # without it Excel takes UTF-8 for something else
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    written = 0
    for row in rows:
        writer.writerow([guarded(plain(cell)) for cell in row])
        written += 1
    return written


# Reading


def read(path: Path, known: Sequence[str], key: str) -> CsvTable:
    """
    Read what a spreadsheet wrote: any of its encodings with a mark, delimiters and line ends.

    Args:
        known: The columns that may be there, in any order.
        key: The one that must be.

    Raises:
        UsageError: it cannot be read, or is no table of these columns.
    """
    text = _decoded(path, _bytes(path))
    csv.field_size_limit(_LONGEST_CELL)  # the module's own, so before its first reader
    header = _LINE_END.sub("\n", text).partition("\n")[0]
    delimiter = max(_DELIMITERS, key=lambda one: _rank(header, one, key))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = _columns(path, next(reader, []), known, key)
        rows = tuple(_rows(path, reader, columns, key))
    except csv.Error as error:
        raise UsageError(
            f"{path} is no CSV from line {reader.line_num} on: {error}.", _SAVE_AS
        ) from None
    return CsvTable(tuple(name for name in columns if name), rows)


def refuse(path: Path, faults: Sequence[str], hint: str) -> None:
    """
    Go on only with a file that has no faults.

    Raises:
        UsageError: it has; all are named, but for those that nobody would read to the end.
    """
    if faults:
        shown = list(faults[:_MOST_FAULTS])
        if len(faults) > _MOST_FAULTS:
            shown.append(f"and {len(faults) - _MOST_FAULTS:,} more")
        listed = "\n".join(shown)
        raise UsageError(f"{path} cannot be taken as it is; nothing was changed.\n{listed}", hint)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", "name the file that a spreadsheet saved"
        ) from None


def _decoded(path: Path, data: bytes) -> str:
    if data.startswith(b"PK\x03\x04"):
        raise UsageError(f"{path} is a workbook, and no CSV.", _SAVE_AS)
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if data.startswith(marks) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = len(re.findall(rb"\r\n?|\n", data[: error.start])) + 1
        raise UsageError(
            f"{path} is not in UTF-8: line {line} has a character of another encoding.", _SAVE_AS
        ) from None


def _rank(header: str, delimiter: str, key: str) -> tuple[bool, int]:
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    return key in names, len(names)


def _columns(path: Path, header: Sequence[str], known: Sequence[str], key: str) -> list[str]:
    """The names of the columns; "" = one without a name, in which nothing may stand."""
    names = [name.strip() for name in header]
    faults = [f"row 1: {fault}" for fault in _header_faults(names, known, key)]
    refuse(path, faults, "correct the header, then run the same command again")
    return names


def _header_faults(names: Sequence[str], known: Sequence[str], key: str) -> Iterator[str]:
    if key not in names:
        yield f"there is no column {key}"
    for place, name in enumerate(names):
        if name and name in names[:place]:
            yield f"there are two columns {name}"
        elif name and name not in known:
            near = get_close_matches(name.casefold(), known, 1, 0.5)
            nearest = f"; the nearest name is {near[0]}" if near else ""
            yield f"there is no column {name[:40]!r}{nearest}"


def _rows(
    path: Path, reader: Iterable[list[str]], columns: Sequence[str], key: str
) -> Iterator[CsvRow]:
    faults = []
    for number, cells in enumerate(reader, 2):
        # Spreadsheets add empty cells at the end of a row. Where some are missing, nobody knows
        # whether they were empty: a short row says nothing of them.
        named = {name: cell for name, cell in zip(columns, cells, strict=False) if name}
        unnamed = [cell for name, cell in zip_longest(columns, cells, fillvalue="") if not name]
        if any(map(str.strip, unnamed)):
            faults.append(f"row {number}: a cell stands under no column's name")
        elif any(_unguarded(cell).strip() for cell in named.values()):
            named.setdefault(key, "")
            rounded = frozenset(name for name in named if _may_be_rounded(named[name].strip()))
            yield CsvRow(number, {name: _unguarded(named[name]) for name in named}, rounded)
    refuse(path, faults, "correct these rows, then run the same command again")


def _may_be_rounded(cell: str) -> bool:
    """Whether it is what a spreadsheet makes of another number; ours have an apostrophe."""
    if not _LONG.fullmatch(cell):
        return _SCIENTIFIC.fullmatch(cell) is not None
    if not cell[15:].strip("0"):  # Excel keeps 15 digits
        return True
    number = float(cell)  # others keep what this keeps, and write all of it or 17 digits
    written = (str(int(number)), f"{Decimal(repr(number)):f}")
    return number > 2**53 and cell in written


def _unguarded(cell: str) -> str:
    return _GUARDED.sub("", plain(cell))
