"""JSON as the ledger keeps it: the same text for the same value, so that texts can be compared."""

import json
import math
from collections.abc import Mapping
from typing import Any

# Made once: made anew for each value, it costs as much as the value. What JSON gave has no circles.
_RULES: dict[str, Any] = {"sort_keys": True, "separators": (",", ":"), "check_circular": False}
_encode = json.JSONEncoder(ensure_ascii=False, **_RULES).encode
_escape = json.JSONEncoder(ensure_ascii=True, **_RULES).encode


def canonical_json(value: Any) -> str:
    """The one text of a value."""
    text = _encode(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair: JSON can hold it, UTF-8 and so SQLite cannot.
        return _escape(value)
    return text


def without_nulls(properties: Mapping[str, Any]) -> dict[str, Any]:
    """
    Without what HubSpot does not know; the ledger has a million of these.

    A property has one plain value. Whatever else comes says nothing to the mapping either, and may
    be none that every reader of JSON takes: infinite, or nested too deep.
    """
    return {
        name: value for name, value in properties.items() if type(value) is str or _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
