"""
What LeadGenius refuses, and what it saves of what it accepts: the guide's bugs 3, 4 and 6.

It also finds leads by two of their fields, and the database behind it (DynamoDB) takes no key of an
index that is longer than 2,048 bytes.

Pure functions of a lead and the quirks.
"""

from migrator.sandbox.expected_leads import is_mark
from migrator.sandbox.leadgenius_errors import NO_DATA, problem
from migrator.sandbox.messages import Answer, Lead
from migrator.sandbox.quirks import ApiQuirks

_REQUIRED = ("firstName", "lastName", "client_id")
# What stays of a lead when a PUT replaces it.
_KEPT = ("id", "client_id", "createdAt", "status")
KEYS = ("email", "linkedinUrl")
LONGEST_KEY_BYTES = 2_048


def fault_of_new(lead: Lead, quirks: ApiQuirks) -> Answer | None:
    """The refusal of a lead in a POST; None = it is accepted."""
    refuses_empty = quirks.empty_string == "error"
    return _fault(lead, _REQUIRED, quirks, refuses_empty=refuses_empty)


def fault_of_change(change: Lead, quirks: ApiQuirks) -> Answer | None:
    """The refusal of a lead in a PUT; None = it is accepted."""
    named = {name: value for name, value in change.items() if value is not None}
    return _fault(named, (), quirks, refuses_empty=not quirks.empty_clears)


def _fault(
    lead: Lead, required: tuple[str, ...], quirks: ApiQuirks, *, refuses_empty: bool
) -> Answer | None:
    if refuses_empty and "" in lead.values():
        return NO_DATA  # bug 4
    if "phone" in lead and quirks.phone == "error":
        return NO_DATA  # bug 3
    for name in required:
        if lead.get(name) in (None, ""):
            return problem(400, "missing_required_field", "Missing required field", name)
    for name in (*_REQUIRED, "email"):
        if not isinstance(lead.get(name) or "", str):
            return problem(400, "invalid_format", "A field has the wrong type", name)
    for name in KEYS:
        if len(str(lead.get(name) or "").encode(errors="replace")) > LONGEST_KEY_BYTES:
            return problem(400, "invalid_format", "A field is too long", name)
    if _has_dot_last_name(lead) and quirks.dot_last_name == "error":
        return NO_DATA  # bug 6
    return None


def saved(lead: Lead, quirks: ApiQuirks) -> Lead:
    """What is saved of the fields of an accepted POST or PUT."""
    dropped = set(quirks.dropped_fields - {"client_id"})
    if quirks.phone == "dropped":
        dropped.add("phone")
    if quirks.dot_last_name == "dropped" and _has_dot_last_name(lead):
        dropped.add("lastName")
    if quirks.empty_string == "dropped":
        dropped.update(name for name, value in lead.items() if value == "")
    kept = {name: value for name, value in lead.items() if name not in dropped}
    if quirks.notes_limit is not None and isinstance(notes := kept.get("notes"), str):
        kept["notes"] = notes[: quirks.notes_limit]
    return kept


def changed_lead(lead: Lead, change: Lead, quirks: ApiQuirks) -> Lead:
    """What a PUT makes of a lead."""
    cleared = {
        name
        for name, value in change.items()
        if (value is None and quirks.null_clears) or (value == "" and quirks.empty_clears)
    }
    named = saved({name: value for name, value in change.items() if value is not None}, quirks)
    named["client_id"] = lead["client_id"]
    kept = lead if quirks.partial else {name: lead[name] for name in _KEPT if name in lead}
    whole = {**kept, **named}
    return {name: value for name, value in whole.items() if name not in cleared}


def _has_dot_last_name(lead: Lead) -> bool:
    last_name = lead.get("lastName", "-")
    return last_name != "-" and isinstance(last_name, str) and is_mark(last_name)
