"""
JSON of any shape and text of any kind, as values that a lead can hold.

Owns which characters no field keeps, and what looks empty. It must never raise, whatever JSON a
service hands it: what has the wrong type counts as missing.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeGuard
from unicodedata import normalize

# Characters that no field keeps: they show nothing, reorder what stands around them, or cannot be
# encoded. White space is not among them, nor the joiners: Persian and emoji are spelt with those.
_CONTROLS = r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"
_INVISIBLE = r"\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
_INVISIBLE += r"\ud800-\udfff"  # halves of a pair: UTF-8 has no bytes for them
_JOINERS = r"\u200c\u200d"
_DROPPED = re.compile(f"[{_CONTROLS}{_INVISIBLE}]")
_DROPPED_EVERYWHERE = re.compile(rf"[\x00-\x1f\x7f-\x9f{_INVISIBLE}{_JOINERS}]")

# From the first visible character to the last. One greedy pass: a pattern for the right edge alone
# takes quadratic time on a value that is mostly blanks.
_EDGE = rf"\s{_CONTROLS}{_INVISIBLE}{_JOINERS}"
_CORE = re.compile(f"[^{_EDGE}](?:.*[^{_EDGE}])?", re.DOTALL)

_LONGEST_QUOTE = 60

# A value of nothing but these looks empty: joiners, variation selectors, fillers, Braille's blank.
_EMPTY_LOOKING = " \u200c\u200d\ufe0e\ufe0f\u115f\u1160\u2800\u3164\uffa0"


def clean(value: object) -> str:
    """Return a value as one line of visible text in NFC, or "" when there is nothing to see."""
    if value is None:
        return ""
    # `is_plain`, without the call: nothing is asked more often.
    if type(value) is str and value.isascii() and value.isprintable():
        return " ".join(value.split())
    text = " ".join(normalize("NFC", _DROPPED.sub("", text_of(value))).split())
    return text if text.strip(_EMPTY_LOOKING) else ""


def is_plain(value: object) -> TypeGuard[str]:
    """Whether only blanks could need care. Most texts are so, and all the care is slow."""
    return type(value) is str and value.isascii() and value.isprintable()


def core(text: str) -> str:
    """Return a text from its first visible character to its last."""
    if is_plain(text):
        return text.strip(" ")
    match = _CORE.search(text)
    return match[0] if match else ""


def without_invisible(text: str) -> str:
    """Return a text from its first visible character to its last, with no invisible one inside."""
    return core(_DROPPED_EVERYWHERE.sub("", text))


def text_of(value: object) -> str:
    """Return a text or a number as text; "" for whatever else it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    try:
        return str(value)
    except ValueError:  # Python does not print an integer of thousands of digits
        return ""


def identifier(value: object) -> str:
    """Return an id, cleaned; a number with a fraction is none."""
    return "" if isinstance(value, float) else clean(value)


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one in the place of whatever else it is."""
    # Asked of an abstract class, the question costs more than all that is done with the answer.
    return value if type(value) is dict or isinstance(value, Mapping) else {}


def properties_of(contact: object) -> Mapping[str, Any]:
    """Return the properties of a contact; none where it has no such object."""
    return as_mapping(as_mapping(contact).get("properties"))


def quoted(text: str) -> str:
    """Return a text in quotation marks, shortened, with nothing unprintable."""
    shown = repr(text)  # escapes all that could move a terminal's cursor
    if len(shown) <= _LONGEST_QUOTE:
        return shown
    return f"{shown[: _LONGEST_QUOTE - 2]}…{shown[-1]}"
