"""
Text that is safe to print: without control characters, which could steer a terminal.

Names, answers and ids from the services and the ledger may contain any character, so all output and
all log lines pass through here.
"""

import json
import textwrap
from datetime import UTC, datetime
from typing import Any

# A text from a service can be a megabyte long.
LONGEST_LINE = 2_000


def one_line(text: str) -> str:
    """Convert to one line of limited length, without control characters and repeated spaces."""
    if len(text) > LONGEST_LINE:
        text = text[: LONGEST_LINE - 1] + "…"
    return " ".join(strip_control(text.replace("\n", " ")).split())


def strip_control(text: str) -> str:
    """Replace each unprintable character with a space; line breaks stay."""
    if text.isprintable():  # nearly all texts are; 100 times as fast
        return text
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def wrapped(text: str, width: int, head: str = "", rest: str = "") -> list[str]:
    """
    The text as lines of a width, broken only at blanks, because commands are copied as they stand.

    Args:
        width: In columns; where there is less than 1, each word gets a line.
        head: What the first line begins with.
        rest: What all other lines begin with.
    """
    return textwrap.wrap(
        text,
        max(1, width),
        initial_indent=head,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def count_noun(number: int, what: str) -> str:
    """Number and noun: "1 contact", "2 contacts"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def utc_time(seconds: float) -> str:
    """Format a Unix time for machines: ISO 8601, UTC, whole seconds."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def local_time(seconds: float) -> str:
    """Format a Unix time for people, in the local time zone, which is named."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%d %B, %H:%M %Z}"


def duration(seconds: float | None) -> str:
    """A duration in at most two units; "?" = not known, or a clock was set back meanwhile."""
    if seconds is None or seconds < 0:
        return "?"
    minutes, hours = int(seconds / 60), int(seconds / 3600)
    if not minutes:
        return f"{int(seconds)} s"
    if not hours:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60:02} min"
    return f"{hours // 24} d {hours % 24} h"


def json_text(value: Any, indent: int | None = None) -> str:
    """Encode as JSON in printable ASCII; all other characters are escaped."""
    # DEL is the only control character that `json` does not escape.
    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def readable_json(value: Any) -> str:
    """Encode as indented JSON; printable characters stay, others are escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def oddity(row: object) -> str:
    """Describe a row of a service's list that has no valid id."""
    if row is None:
        return "a row that is null"
    if not isinstance(row, dict):
        return f"a row that is not an object but a {type(row).__name__}"
    found = row.get("id")
    return "a row without an id" if found is None else f"a row with the id {shortened(found)}"


def shortened(value: object) -> str:
    """A value as JSON on one line, cut to 60 characters."""
    return one_line(json.dumps(value))[:60]
