"""
The detail of a hold: what the ledger stores of it, and the sentence that people read.

A text is stored as it is: LeadGenius's words, a value that is not valid, names of fields. All else
is stored as a code with its arguments, and becomes a sentence when it is read.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

Detail = str | Mapping[str, Any]


class HoldDetail(Enum):
    """A code; its value is the sentence, with the arguments in braces."""

    SAME_EMAIL = "contact {contact} has the same e-mail"
    OWNED = "lead {lead} belongs to contact {contact}"
    OWNED_WITH_LINE = "lead {lead} carries its record line and is contact {contact}'s"
    FOREIGN_OF_CONTACT = "lead {lead} has the same e-mail and is contact {contact}'s"
    FOREIGN_WITHOUT_NOTES = (
        "lead {lead} has the same e-mail and the listing shows no notes of it, "
        "so it may be ours or not"
    )
    FOREIGN = "lead {lead} has the same e-mail and is not ours"
    LEAD_WITHOUT_ID = "a lead that LeadGenius lists without an id has its record line or its e-mail"
    NAMELESS = (
        "the answer to its send was lost, and LeadGenius lists a lead without id, notes and "
        "e-mail, which may be its lead: look for the contact in LeadGenius; only if it is not "
        "there, migrator retry"
    )
    STATUS = "status {status}"
    NO_LEAD = "{attempts} attempts left no lead"
    NOT_LISTED = "lead {lead} is not listed"
    REMOVED = "lead {lead} is marked as deleted or as a duplicate"
    CONFLICT = "HubSpot's value is not in LeadGenius: {fields}"
    DOUBLED = "lead {lead} is the one to keep; there too: {others}"
    GONE_MERGED = "merged into contact {into}"
    GONE_ARCHIVED = "archived in HubSpot"
    GONE_UNKNOWN = "HubSpot does not have it any more"

    def of(self, **arguments: Any) -> Detail:
        """The code with its arguments, to be stored."""
        return {"code": self.name, **arguments}


# Arguments that a sentence can have besides, each with its own words.
_FURTHER = {
    HoldDetail.NO_LEAD: {"status": ", the last answer was {status}"},
    HoldDetail.NOT_LISTED: {"others": "; of this contact there is: {others}"},
    HoldDetail.REMOVED: {"others": "; of this contact there is: {others}"},
    HoldDetail.DOUBLED: {"fields": "; different: {fields}"},
}


# Why a value of HubSpot is not written although the field was not changed in LeadGenius.
_NOT_WRITTEN = {
    "email": "not written, as another lead has it",
    "notes": "not written, as LeadGenius would cut it",
}


def why_not_written(field: str, values: Mapping[str, str | None]) -> str | None:
    """
    Why neither `--prefer` nor a decision writes HubSpot's value of a field in conflict.

    Args:
        values: `{"sent", "there", "new"}`.

    Returns:
        `None` = they do.
    """
    return _NOT_WRITTEN.get(field) if values["there"] == values["sent"] else None


def sentence(detail: Detail | None) -> str | None:
    """
    The words of a detail; `None` = it has none.

    Raises:
        KeyError: the code or one of its arguments is unknown.
    """
    if detail is None or isinstance(detail, str):
        return detail
    code = HoldDetail[detail["code"]]
    # Of values by field, the sentence names the fields.
    named = {
        name: ", ".join(value) if isinstance(value, Mapping) else value
        for name, value in detail.items()
    }
    further = [
        text for name, text in _FURTHER.get(code, {}).items() if detail.get(name) is not None
    ]
    return "".join([code.value, *further]).format_map(named)
