"""
Converts JSON values to clean text for leads.

Nothing in here raises for any JSON: a value of the wrong type counts as missing.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeGuard
from unicodedata import normalize

# Characters that are removed: they are invisible, reorder the text around them or have no encoding.
# White space is kept, and so are the joiners, which Persian and emoji need.
_CONTROLS = r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"
_INVISIBLE = r"\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
_INVISIBLE += r"\ud800-\udfff"  # lone surrogates, which UTF-8 cannot encode
_JOINERS = r"\u200c\u200d"
_DROPPED = re.compile(f"[{_CONTROLS}{_INVISIBLE}]")
_DROPPED_EVERYWHERE = re.compile(rf"[\x00-\x1f\x7f-\x9f{_INVISIBLE}{_JOINERS}]")

# From the first visible character to the last. One greedy pass: a pattern for the right edge alone
# would take quadratic time on a value that is mostly spaces.
_EDGE = rf"\s{_CONTROLS}{_INVISIBLE}{_JOINERS}"
_CORE = re.compile(f"[^{_EDGE}](?:.*[^{_EDGE}])?", re.DOTALL)

_LONGEST_QUOTE = 60

# A value of only these looks empty: joiners, variation selectors, fillers, the blank Braille cell.
_EMPTY_LOOKING = " \u200c\u200d\ufe0e\ufe0f\u115f\u1160\u2800\u3164\uffa0"


def clean(value: object) -> str:
    """Return a value as one line of text in NFC, or "" if it looks empty."""
    if value is None:
        return ""
    # `is_plain`, inlined: this is the hottest function of the mapping.
    if type(value) is str and value.isascii() and value.isprintable():
        return " ".join(value.split())
    text = " ".join(normalize("NFC", _DROPPED.sub("", text_of(value))).split())
    return text if text.strip(_EMPTY_LOOKING) else ""


def is_plain(value: object) -> TypeGuard[str]:
    """Whether a value is printable ASCII: a fast path for most texts."""
    return type(value) is str and value.isascii() and value.isprintable()


def core(text: str) -> str:
    """Return a text from its first visible character to its last."""
    if is_plain(text):
        return text.strip(" ")
    match = _CORE.search(text)
    return match[0] if match else ""


def without_invisible(text: str) -> str:
    """Return a text without invisible characters and surrounding white space."""
    return core(_DROPPED_EVERYWHERE.sub("", text))


def text_of(value: object) -> str:
    """Return a text or a number as text; "" for any other value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    try:
        return str(value)
    except ValueError:  # Python does not print an integer of thousands of digits
        return ""


def identifier(value: object) -> str:
    """Return a cleaned id; "" for a float."""
    return "" if isinstance(value, float) else clean(value)


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object; an empty one for any other value."""
    # The check against the abstract class is slow.
    return value if type(value) is dict or isinstance(value, Mapping) else {}


def properties_of(contact: object) -> Mapping[str, Any]:
    """Return the properties of a contact, if it has any."""
    return as_mapping(as_mapping(contact).get("properties"))


def quoted(text: str) -> str:
    """Return a text in quotation marks, shortened, with unprintable characters escaped."""
    shown = repr(text)
    if len(shown) <= _LONGEST_QUOTE:
        return shown
    return f"{shown[: _LONGEST_QUOTE - 2]}…{shown[-1]}"
