"""
Texts that can be shown: nothing in them steers a terminal, or reorders what it shows.

Services and the ledger give names, answers and ids with any character in them. Whatever is printed
or logged goes through here, and nothing else decides what may be shown. It prints nothing itself.
"""

import json
import textwrap
from datetime import UTC, datetime
from typing import Any

# What a service names can be a megabyte long.
LONGEST_LINE = 2_000


def one_line(text: str) -> str:
    """The text as one line, without control characters, and every blank as one space."""
    if len(text) > LONGEST_LINE:
        text = text[: LONGEST_LINE - 1] + "…"
    return " ".join(strip_control(text.replace("\n", " ")).split())


def strip_control(text: str) -> str:
    """The text with its lines and blanks, and a space for each character that shows nothing."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def wrapped(text: str, width: int, head: str = "", rest: str = "") -> list[str]:
    """
    The text as lines of a width, broken only at blanks, because commands are copied as they stand.

    Args:
        head: What the first line begins with.
        rest: What all other lines begin with.
    """
    return textwrap.wrap(
        text,
        width,
        initial_indent=head,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def count_noun(number: int, what: str) -> str:
    """A number of things: "1 contact", "2 contacts"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def utc_time(seconds: float) -> str:
    """A moment (since the epoch) for machines: ISO 8601, UTC, in whole seconds."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def local_time(seconds: float) -> str:
    """A moment (since the epoch) for people: in the zone of this machine, which is named."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%d %B, %H:%M %Z}"


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON in visible ASCII: every other character is escaped, and so comes back whole."""
    # The only control character that JSON does not escape by itself.
    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def readable_json(value: Any) -> str:
    """JSON for people: what can be shown stands as it is; what cannot is escaped, not lost."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def oddity(row: object) -> str:
    """What a row of a service's list is that has no usable id, in words."""
    if row is None:
        return "a row that is null"
    if not isinstance(row, dict):
        return f"a row that is no object but a {type(row).__name__}"
    found = row.get("id")
    return "a row without an id" if found is None else f"a row with the id {shortened(found)}"


def shortened(value: object) -> str:
    """A value that came from outside, on one line and not for long."""
    return one_line(json.dumps(value))[:60]
