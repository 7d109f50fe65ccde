"""
By what a lead is known as a contact's, and whether it still is as it was sent (design, I4).

Owns the record line of `notes`, and how a listed lead is compared with a sent one.
"""

import re
from collections.abc import Mapping
from typing import Any
from unicodedata import normalize

from migrator.mapping.emails import email_key
from migrator.mapping.text import as_mapping, text_of

RECORD = "HubSpot record"
_RECORD_LINE = re.compile(rf"{RECORD}: ([^\s/]+)/([^\s/\ud800-\udfff]+)")


def record_line(portal_id: str, contact_id: str) -> str:
    """Return the line of `notes` by which a lead is known as this contact's (design, I4)."""
    return f"{RECORD}: {portal_id}/{contact_id}"


def is_readable(portal_id: str, contact_id: str) -> bool:
    """Whether `records_in` would read these back from their line."""
    if all(one.isascii() and one.isalnum() for one in (portal_id, contact_id)):
        return True
    return records_in(record_line(portal_id, contact_id)) == {(portal_id, contact_id)}


def records_in(notes: object) -> frozenset[tuple[str, str]]:
    """
    Return every `(portal_id, contact_id)` that has a line of its own in a lead's notes.

    Blanks around a line and any kind of line end are tolerated; what is no text holds no line.
    """
    lines = notes.splitlines() if isinstance(notes, str) else []
    found = (_RECORD_LINE.fullmatch(line.strip()) for line in lines)
    return frozenset((match[1], match[2]) for match in found if match)


def differs(lead: Mapping[str, str], remote: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Return the sorted names of the sent fields that the listed lead lacks or shows differently.

    E-mails are compared by `email_key`, other values as text but for blanks around them, the kind
    of line end and Unicode's composed forms. What the listed lead has besides is not looked at.
    """
    listed = as_mapping(remote)
    return tuple(sorted(key for key, sent in lead.items() if not _same(key, sent, listed.get(key))))


def _same(field: str, sent: str, shown: object) -> bool:
    if field == "email":
        return email_key(sent) == email_key(text_of(shown))
    return _comparable(sent) == _comparable(shown)


def _comparable(value: object) -> str:
    text = text_of(value).replace("\r\n", "\n").replace("\r", "\n")
    return normalize("NFC", text).strip()
