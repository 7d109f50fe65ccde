"""What an update sends, and what a listing proves of one that is in doubt (life, section 3)."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

from migrator.comparison.compare import listed_text
from migrator.mapping import note_lines, same_value

# Fields that LeadGenius sets; `id` and `client_id` name the lead in every update.
READ_ONLY = frozenset(["id", "client_id", "createdAt", "updatedAt", "deletedAt", "deletedBy"])


class UpdateProof(StrEnum):
    """What a listing proves of an update in doubt."""

    LANDED = "landed"  # all fields have the new values
    NOT_LANDED = "not_landed"  # all fields are as they were
    EDITED = "edited"  # neither: compare again, field by field


def whole_lead(there: Mapping[str, Any], changes: Mapping[str, str | None]) -> dict[str, Any]:
    """
    Return the fields to send, besides `id` and `client_id`, if an update replaces the lead.

    They are the listed ones with the changes in them, but not `READ_ONLY` ones and no empty ones:
    what is left out is cleared, and an empty string can make the service fail (guide, rule 1).
    """
    whole = {**there, **changes}
    return {
        name: value
        for name, value in whole.items()
        if name not in READ_ONLY and value is not None and value != ""
    }


def what_a_listing_proves(
    sent: Mapping[str, str | None], before: Mapping[str, Any], there: Mapping[str, Any]
) -> UpdateProof:
    """
    Return what a listed lead proves of an update, once the update can no longer land.

    Of the notes, only the lines that the update put in or took out count.

    Args:
        sent: The changes that were sent, without the rest of a whole lead; None or "" = cleared.
        before: The listed lead that the changes were made for (the before-image).
        there: The listed lead. In both, a field that is left out is empty.
    """
    new = {name: value or "" for name, value in sent.items()}
    old, now = ({name: listed_text(lead.get(name)) for name in sent} for lead in (before, there))
    if all(_shows(name, now[name], new[name], old[name]) for name in sent):
        return UpdateProof.LANDED
    if all(_shows(name, now[name], old[name], new[name]) for name in sent):
        return UpdateProof.NOT_LANDED
    return UpdateProof.EDITED


def are_edits(
    updates: Sequence[Mapping[str, Mapping[str, Any]]],
    there: Mapping[str, Any],
    differing: Collection[str],
) -> bool:
    """
    Whether people's edits explain how a lead differs that was verified before its last updates.

    A field that an update wrote, and that still is as before, is none: the update did not arrive.

    Args:
        updates: `{"fields", "before"}` of each update since, in their order.
        differing: The fields that differ from what LeadGenius was told.
    """
    latest = {name: one for one in updates for name in one["fields"]}
    return not any(
        what_a_listing_proves({name: one["fields"][name]}, one["before"], there)
        is UpdateProof.NOT_LANDED
        for name, one in latest.items()
        if name in differing
    )


def _shows(name: str, listed: str, value: str, other: str) -> bool:
    """Whether a field shows a value, which of notes is all that tells it from the other value."""
    if name != "notes":
        return same_value(name, value, listed)
    there, lines, others = (Counter(note_lines(text)) for text in (listed, value, other))
    is_in = all(there[line] >= lines[line] for line in lines - others)
    return is_in and all(there[line] <= lines[line] for line in others - lines)
