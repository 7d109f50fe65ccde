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
    lines = notes.splitlines() if isinstance(notes, str) and RECORD in notes else []
    found = (_RECORD_LINE.fullmatch(line.strip()) for line in lines if RECORD in line)
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
    if lead.items() <= listed.items():  # most leads, and quick to see
        return _EQUAL
    shown = [key for key in lead if key in listed]
    return Comparison(
        tuple(sorted(key for key in shown if not _shows(key, lead[key], listed[key]))),
        tuple(sorted(lead.keys() - listed.keys())),
    )


_EQUAL = Comparison((), ())


def _shows(field: str, sent: str, shown: object) -> bool:
    if field == "notes":
        return set(note_lines(sent)) <= set(note_lines(shown))
    return same_value(field, sent, shown)


def same_value(field: str, one: object, other: object) -> bool:
    """Whether two values of a field other than `notes` are equal, as `compare` sees it."""
    if field == "email":
        return email_key(text_of(one)) == email_key(text_of(other))
    return comparable(one) == comparable(other)


def note_lines(value: object) -> list[str]:
    """Return the lines of notes in the form in which they are compared, without blank ones."""
    return [text for line in comparable(value).splitlines() if (text := line.strip())]


def comparable(value: object) -> str:
    """Return a value in the form in which it is compared: see `compare`."""
    text = text_of(value).replace("\r\n", "\n").replace("\r", "\n")
    return normalize("NFC", text).strip()
