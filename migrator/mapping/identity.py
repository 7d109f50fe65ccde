"""The record line of a lead, its removal, and its comparison with what was sent (design, I4)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

from migrator.mapping.emails import email_key
from migrator.mapping.text import as_mapping, text_of

RECORD = "HubSpot record"
# The brackets mark the ends: if the service cut an id, it could be another contact's.
_RECORD_LINE = re.compile(rf"\[{RECORD}: ([^\s/\[\]]+)/([^\s/\[\]\ud800-\udfff]+)\]")
# Values of `status` that LeadGenius gives to removed leads.
_REMOVED = frozenset(["to_be_deleted", "deleted", "duplicate"])


def record_line(portal_id: str, contact_id: str) -> str:
    """Return the line of `notes` that identifies the contact of a lead (design, I4)."""
    return f"[{RECORD}: {portal_id}/{contact_id}]"


def is_readable(portal_id: str, contact_id: str) -> bool:
    """Whether `records_in` can read these ids back from their line."""
    if all(one.isascii() and one.isalnum() for one in (portal_id, contact_id)):
        return True
    return records_in(record_line(portal_id, contact_id)) == {(portal_id, contact_id)}


def records_in(notes: object) -> frozenset[tuple[str, str]]:
    """
    Return the `(portal_id, contact_id)` of each record line in a lead's notes.

    Spaces around a line and all kinds of line ends are tolerated.
    """
    lines = notes.splitlines() if isinstance(notes, str) else []
    found = (_RECORD_LINE.fullmatch(line.strip()) for line in lines)
    return frozenset((match[1], match[2]) for match in found if match)


def is_removed(remote: Mapping[str, Any]) -> bool:
    """Whether LeadGenius marks a listed lead as deleted or as a duplicate."""
    return text_of(remote.get("status")).strip().casefold() in _REMOVED or bool(
        remote.get("deletedAt")
    )


@dataclass(frozen=True)
class Comparison:
    """
    The differences between a listed lead and what was sent, as sorted names of fields.

    Args:
        differs: Listed with another value, or as null.
        lacks: Not listed; this is a difference only if the listing shows the field on other leads.
    """

    differs: tuple[str, ...]
    lacks: tuple[str, ...]


def compare(lead: Mapping[str, str], remote: Mapping[str, Any]) -> Comparison:
    """
    Compare every field that was sent with the listed lead.

    E-mails are compared by `email_key`, other values as text, ignoring surrounding spaces, kinds of
    line ends and Unicode normalisation. Notes are equal if they contain all our lines. Other fields
    of the listed lead are ignored.
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
