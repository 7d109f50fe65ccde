"""
CSV that is safe to open in a spreadsheet, and reading what the spreadsheet saves.

A cell that a spreadsheet would calculate or round is prefixed with an apostrophe, which `read`
removes, so values survive the round trip. Invalid input is reported, never repaired.
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
from migrator.private_files import atomic_write, without_links

_MOST_FAULTS = 20
_LONGEST_CELL = 2**31 - 1
_DELIMITERS = ",;\t"
_GUARD = "'"

# A spreadsheet that assumes another delimiter starts a cell after each of these.
_CELL_START = r"(?:\A|(?<=[;\t\n]))"
_BLANKS = r"(?:[^\S\t\n]|[\u200b-\u200f\u2060\ufeff])*+"
_TO_GUARD = re.compile(rf"{_CELL_START}(?=[\t\n]|{_BLANKS}[=+\-@＝＋－＠'])")
_GUARDED = re.compile(rf"{_CELL_START}{_GUARD}")

# Spreadsheets save these changed: 007 as 7, 12 digits as 1.2E+11, 3/4 as a date. Up to eleven
# digits are kept.
_NUMBER_LIKE = re.compile(r"(?=.*\d)[\d\s.,:/%()$€£eE+\-]+(?:[aApP][mM])?|true|false", re.I | re.S)
_UNHARMED = re.compile(r"0|[1-9][0-9]{0,10}")
_SCIENTIFIC = re.compile(r"[0-9]+(?:[.,][0-9]+)?[eE]\+?[0-9]+")
_LONG = re.compile(r"[0-9]{16,300}")

_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")  # UTF-8 cannot encode lone surrogates
_LINE_END = re.compile(r"\r\n?")

_SAVE_AS = 'save it as "CSV UTF-8" (comma delimited), then run the same command again'


@dataclass(frozen=True)
class CsvRow:
    """
    One row of a table.

    Args:
        number: Row number in a spreadsheet; the header is row 1.
        cells: Values by column; a short row lacks its last columns, except the key.
        rounded: Columns with a number that a spreadsheet has rounded, or may have.
    """

    number: int
    cells: Mapping[str, str]
    rounded: frozenset[str]


@dataclass(frozen=True)
class CsvTable:
    """The columns of a file, and its rows except for empty ones."""

    columns: tuple[str, ...]
    rows: tuple[CsvRow, ...]


def plain(text: str) -> str:
    """Normalise a text to what a cell can hold: line ends, NUL, lone surrogates."""
    return _NO_TEXT.sub("\ufffd", _LINE_END.sub("\n", text))


def guarded(text: str) -> str:
    """Guard a plain text so that no spreadsheet calculates or rounds it."""
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
    Write a table atomically, with mode 0600, streaming its rows.

    Args:
        check: Called with an existing file that is not empty before it is replaced; may raise.

    Returns:
        The number of rows below the header.

    Raises:
        UsageError: the file cannot be written.
    """
    with ExitStack() as stack:
        try:
            target = without_links(path)
            if target.exists() and not target.is_file():
                raise UsageError(f"{path} is not a file.", "name another file")
            if target.exists() and target.stat().st_size:
                check(path)
            stream = stack.enter_context(atomic_write(target))
        except OSError as error:
            raise _unwritable(path, error) from None
        return _write(stream, columns, rows)


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{path} cannot be written: {error.strerror}.", "name a file in a writable folder"
    )


def _write(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    stream.write("\ufeff")  # without it Excel does not recognise UTF-8
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
    Read a table saved by a spreadsheet: UTF-8, or UTF-16 with a BOM; any delimiter and line end.

    Args:
        known: The columns that are allowed, in any order.
        key: The column that is required.

    Raises:
        UsageError: the file cannot be read, or is not a table of these columns.
    """
    text = _decoded(path, _bytes(path))
    csv.field_size_limit(_LONGEST_CELL)  # global to the module, so before its first reader
    header = _LINE_END.sub("\n", text).partition("\n")[0]
    delimiter = max(_DELIMITERS, key=lambda one: _rank(header, one, key))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = _columns(path, next(reader, []), known, key)
        rows = tuple(_rows(path, reader, columns, key))
    except csv.Error as error:
        raise UsageError(
            f"{path} is not valid CSV from line {reader.line_num} on: {error}.", _SAVE_AS
        ) from None
    return CsvTable(tuple(name for name in columns if name), rows)


def refuse(path: Path, faults: Sequence[str], hint: str) -> None:
    """
    Reject a file that has faults.

    Raises:
        UsageError: it has; the message names the first `_MOST_FAULTS`.
    """
    if faults:
        shown = list(faults[:_MOST_FAULTS])
        if len(faults) > _MOST_FAULTS:
            shown.append(f"and {len(faults) - _MOST_FAULTS:,} more")
        listed = "\n".join(shown)
        raise UsageError(f"{path} has errors; nothing was changed.\n{listed}", hint)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", "name the file that a spreadsheet saved"
        ) from None


def _decoded(path: Path, data: bytes) -> str:
    if data.startswith(b"PK\x03\x04"):
        raise UsageError(f"{path} is a workbook, not CSV.", _SAVE_AS)
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
    """The names of the columns; "" = a column without a name, which must be empty."""
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
        # Spreadsheets add empty cells at the end of a row. A cell that is missing there is unknown,
        # not empty.
        named = {name: cell for name, cell in zip(columns, cells, strict=False) if name}
        unnamed = [cell for name, cell in zip_longest(columns, cells, fillvalue="") if not name]
        if any(map(str.strip, unnamed)):
            faults.append(f"row {number}: a cell is in a column without a name")
        elif any(_unguarded(cell).strip() for cell in named.values()):
            named.setdefault(key, "")
            rounded = frozenset(name for name in named if _may_be_rounded(named[name].strip()))
            yield CsvRow(number, {name: _unguarded(named[name]) for name in named}, rounded)
    refuse(path, faults, "correct these rows, then run the same command again")


def _may_be_rounded(cell: str) -> bool:
    """Whether a spreadsheet may have rounded this number; ours are guarded by an apostrophe."""
    if not _LONG.fullmatch(cell):
        return _SCIENTIFIC.fullmatch(cell) is not None
    if not cell[15:].strip("0"):  # Excel keeps 15 digits
        return True
    number = float(cell)  # other programs keep a double, and write all its digits or 17 of them
    written = (str(int(number)), f"{Decimal(repr(number)):f}")
    return number > 2**53 and cell in written


def _unguarded(cell: str) -> str:
    return _GUARDED.sub("", plain(cell))
