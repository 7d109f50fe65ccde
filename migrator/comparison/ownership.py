"""Whether a listed lead is as we left it, so that `undo` may delete it (life, section 4)."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from migrator.comparison.compare import listed_text
from migrator.mapping import note_lines, records_in, same_value


class KeepReason(StrEnum):
    """Why a lead is not deleted; `why_kept` finds those down to `NOTES_ADDED`."""

    ADOPTED = "adopted"  # this ledger did not create it
    OTHER_CLIENT = "other_client"
    NOT_SHOWN = "not_shown"  # the listing does not show all fields that we sent
    NO_RECORD_LINE = "no_record_line"
    EDITED = "edited"  # a field is not as it was last sent
    STATUS_CHANGED = "status_changed"  # or it is not known what it was
    NOTES_ADDED = "notes_added"  # the notes have a line that is not ours
    OPEN = "open"  # another write of the contact is in doubt
    NOT_LISTED = "not_listed"  # LeadGenius has it, but does not list it
    OWN_NOT_LISTED = "own_not_listed"  # of several leads, the contact's own is not listed
    BACK_AT_HUBSPOT = "back_at_hubspot"  # it was to go because HubSpot had no such contact
    REFUSED = "refused"  # by LeadGenius
    GAVE_UP = "gave_up"  # after the last attempt
    NAMELESS = "nameless"  # not listed, but LeadGenius lists a row without an id that may be it
    STILL_LISTED = "still_listed"  # after the last delete that LeadGenius took


def why_kept(
    base: Mapping[str, str | None],
    there: Mapping[str, Any],
    *,
    portal_id: str,
    contact_id: str,
    client_id: str,
    made_status: str | None,
    shown: Collection[str] = (),
    would_send: Collection[str] = (),
    is_adopted: bool = False,
    allow_adopted: bool = False,
) -> KeepReason | None:
    """
    Return why a listed lead must not be deleted; None if it is ours and as we left it.

    That the lead is not removed, and that the ledger knows its id, is for the caller to check.

    Args:
        base: The lead as LeadGenius was last told; a field that is None (unknown) counts as edited,
            so an adopted lead is kept unless it is as this ledger would send it.
        there: The lead as it was listed a moment ago.
        contact_id: The contact of its record line: after a merge, the predecessor's until the lead
            was updated.
        client_id: The client of the ledger; a listing that shows no clients is believed.
        made_status: `status` when the lead was made, "" = none, None = unknown. If it was never
            shown, the lead must not show one now.
        shown: Fields that the listing shows on any lead: one that this lead lacks is empty.
        would_send: Fields that the mapping has. If one had no value to send and has one there, a
            person has filled it in; other fields LeadGenius may have enriched.
    """
    if is_adopted and not allow_adopted:
        return KeepReason.ADOPTED
    if "client_id" in there and there["client_id"] != client_id:
        return KeepReason.OTHER_CLIENT
    if not {"notes", *base} <= {*there, *shown}:
        return KeepReason.NOT_SHOWN
    notes = listed_text(there.get("notes"))
    if (portal_id, contact_id) not in records_in(notes):
        return KeepReason.NO_RECORD_LINE
    told, lines = set(note_lines(base.get("notes"))), set(note_lines(notes))
    if not told <= lines or any(
        value is None or not same_value(name, value, listed_text(there.get(name)))
        for name, value in base.items()
        if name != "notes" or value is None
    ):
        return KeepReason.EDITED
    if any(listed_text(there.get(name)) for name in would_send if name not in base):
        return KeepReason.EDITED
    if "status" not in base and not same_value(
        "status", made_status, listed_text(there.get("status"))
    ):
        return KeepReason.STATUS_CHANGED
    return None if lines <= told else KeepReason.NOTES_ADDED
