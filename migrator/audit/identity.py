"""What a listed lead is recognised by: its record line, its e-mail; and whether it is removed."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from migrator.audit.records import fields

# Ids contain no lone surrogates, which SQLite cannot store.
_BEGINNING = "[HubSpot record: "
_RECORD = re.compile(r"\[HubSpot record: ([^\s/\[\]]+)/([^\s/\[\]\ud800-\udfff]+)\]")
# Marks that lists and mail programs leave around an address.
_MARKS = " \t\r\n;,:()<>[]\"'`"
_REMOVED = ("to_be_deleted", "deleted", "duplicate")


def identities(
    lead: Mapping[str, Any], portal_id: str | None
) -> Iterator[tuple[str | None, str | None]]:
    """
    (contact of its record line, e-mail) of a lead (design, I4).

    The contact is None without a line of our portal. The e-mail is None with a line of any portal,
    because it proves nothing then.
    """
    found = _records(lead)
    ours = {contact for portal, contact in found if portal == portal_id}
    email = None if found else email_of(lead.get("email"))
    yield from ((one, email) for one in ours or (None,))


def records_of(lead: Mapping[str, Any], portal_id: str | None) -> set[str]:
    """HubSpot's ids in a lead's record lines of our portal."""
    return {contact for portal, contact in _records(lead) if portal == portal_id}


def _records(lead: Mapping[str, Any]) -> list[tuple[str, str]]:
    notes = lead.get("notes")
    if not isinstance(notes, str) or _BEGINNING not in notes:
        return []
    lines = (line.strip() for line in notes.splitlines() if _BEGINNING in line)
    return [(match[1], match[2]) for line in lines if (match := _RECORD.fullmatch(line))]


def is_removed(lead: Mapping[str, Any]) -> bool:
    """Whether LeadGenius marks a lead as deleted or as a duplicate."""
    status = lead.get("status")
    is_marked = isinstance(status, str) and status.strip().lower() in _REMOVED
    return is_marked or bool(lead.get("deletedAt"))


def email_of(value: Any) -> str | None:
    """The normal form of an e-mail; None = there is none."""
    # Not case-folded: that would merge different domains, such as those with ß and ss.
    text = value.strip(_MARKS).lower() if isinstance(value, str) else ""
    mailbox, _, domain = text.rpartition("<")[2].strip(_MARKS).rpartition("@")
    address = unicodedata.normalize("NFC", f"{mailbox}@{_readable(domain)}")
    # SQLite cannot store lone surrogates.
    return address.encode(errors="replace").decode() if text else None


def _readable(domain: str) -> str:
    """A domain in Unicode."""
    return ".".join(map(_readable_label, domain.split(".")))


def _readable_label(label: str) -> str:
    if not (label.startswith("xn--") and label.isascii()):
        return label
    try:
        return label[4:].encode().decode("punycode")
    except UnicodeError:
        return label


def email_of_lead(lead: str) -> str | None:
    """The e-mail of a lead in JSON, in its normal form; None = there is none."""
    try:
        return email_of(fields(lead).get("email"))
    except ValueError:  # corrupt; another rule reports that
        return None
