"""JSON for the ledger in one form: equal values have equal texts."""

import json
import math
from collections.abc import Mapping
from typing import Any

# Encoders are created once, as creating one is as slow as encoding a value. Parsed JSON has no
# circular references.
_RULES: dict[str, Any] = {"sort_keys": True, "separators": (",", ":"), "check_circular": False}
_encode = json.JSONEncoder(ensure_ascii=False, **_RULES).encode
_escape = json.JSONEncoder(ensure_ascii=True, **_RULES).encode


def canonical_json(value: Any) -> str:
    """Encode a value in canonical form."""
    text = _encode(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate is valid in JSON, but UTF-8, and so SQLite, cannot encode it.
        return _escape(value)
    return text


def without_nulls(properties: Mapping[str, Any]) -> dict[str, Any]:
    """
    Keep only properties with a plain value: a text, a finite number or a boolean.

    Nulls would waste space in the ledger. Other values mean nothing to the mapping, and may be
    invalid in strict JSON (infinite) or nested too deeply.
    """
    return {
        name: value
        for name, value in properties.items()
        if type(value) is str or (value is not None and _is_plain(value))
    }


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
