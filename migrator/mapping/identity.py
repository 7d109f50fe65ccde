"""
By what a lead is known as a contact's, and whether it still is as it was sent (design, I4).

Owns the record line of `notes`, the marks of a lead that was deleted, and how a listed lead is
compared with a sent one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

from migrator.mapping.emails import email_key
from migrator.mapping.text import as_mapping, text_of

RECORD = "HubSpot record"
# The brackets are end marks: a service may cut notes off, and half an id is another contact's.
_RECORD_LINE = re.compile(rf"\[{RECORD}: ([^\s/\[\]]+)/([^\s/\[\]\ud800-\udfff]+)\]")
# How LeadGenius marks what is not there any more for those who work with leads.
_REMOVED = frozenset(["to_be_deleted", "deleted", "duplicate"])


def record_line(portal_id: str, contact_id: str) -> str:
    """Return the line of `notes` by which a lead is known as this contact's (design, I4)."""
    return f"[{RECORD}: {portal_id}/{contact_id}]"


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


def is_removed(remote: Mapping[str, Any]) -> bool:
    """Whether LeadGenius marks a listed lead as deleted or as a duplicate: then it is not there."""
    return text_of(remote.get("status")).strip().casefold() in _REMOVED or bool(
        remote.get("deletedAt")
    )


@dataclass(frozen=True)
class Comparison:
    """
    How a listed lead compares with what was sent; names of fields, sorted.

    Args:
        differs: Shown with another value, or as null.
        lacks: Not shown at all; whether the listing shows such a field on other leads decides.
    """

    differs: tuple[str, ...]
    lacks: tuple[str, ...]


def compare(lead: Mapping[str, str], remote: Mapping[str, Any]) -> Comparison:
    """
    Compare every field that was sent with the listed lead.

    E-mails are compared by `email_key`, other values as text but for blanks around them, the kind
    of line end and Unicode's composed forms. Notes are as sent while they hold all our lines, in
    whatever company. What else the listed lead has is not looked at.
    """
    listed = as_mapping(remote)
    shown = [key for key in lead if key in listed]
    return Comparison(
        tuple(sorted(key for key in shown if not _same(key, lead[key], listed[key]))),
        tuple(sorted(lead.keys() - listed.keys())),
    )


def _same(field: str, sent: str, shown: object) -> bool:
    if field == "email":
        return email_key(sent) == email_key(text_of(shown))
    if field == "notes":
        return _lines(sent) <= _lines(shown)
    return _comparable(sent) == _comparable(shown)


def _lines(value: object) -> set[str]:
    return {line.strip() for line in _comparable(value).splitlines()}


def _comparable(value: object) -> str:
    text = text_of(value).replace("\r\n", "\n").replace("\r", "\n")
    return normalize("NFC", text).strip()
