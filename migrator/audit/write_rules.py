"""
The rules for updates and deletes: nothing of other people was overwritten or deleted.

An update or a delete is stored with the lead as it was listed right before. What LeadGenius had
been told by then (the base) follows from the contact's former leads.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from migrator.audit.identity import email_of, records_of
from migrator.audit.records import Attempt, ContactEvidence, JourneyBinding, fields

_Lead = Mapping[str, Any]


def base(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """
    What LeadGenius was told changed only by updates that it took, and to values of HubSpot.

    A successor began with what its predecessor's lead was told.
    """
    if binding.is_forgotten or contact.is_emptied or not (contact.bases or contact.inherited):
        return
    rows = [(one.attempt, one.lead_id, one.lead, one.new_lead) for one in contact.bases]
    rows.append((0, contact.lead_id, contact.lead or "{}", None))
    for (last, lead_id, old, new_lead), (_, _, new, _) in pairwise(rows):
        told = [a for a in contact.attempts if a.has_updated and a.number <= last]
        allowed = [_parsed(new_lead), *(_parsed(attempt.base) for attempt in told)]
        before, after = _parsed(old), _parsed(new)
        for name in sorted({*before, *after}) if lead_id is not None else ():
            value = after.get(name)
            if not any(_same(name, value, one.get(name)) for one in (before, *allowed)):
                yield f"{name} of its lead became a value that was neither sent nor HubSpot's"
    own = {attempt.lead_id for attempt in contact.attempts if attempt.has_lead}
    inherited = {attempt.lead_id for attempt in contact.inherited if attempt.has_lead}
    if contact.lead_id in inherited - own:
        first = next(lead for _, lead_id, lead, _ in rows if lead_id == contact.lead_id)
        if not any(_parsed(old) == _parsed(first) for old in contact.predecessors.values()):
            yield "its lead is not the one that its predecessor was told"


def values(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """An update overwrote what LeadGenius had been told, unless a person decided otherwise."""
    if binding.is_forgotten or contact.is_emptied:
        return
    for attempt in contact.attempts:
        if attempt.kind == "update" and (attempt.fields is None or attempt.before is None):
            yield f"send {attempt.number} does not say what it overwrote"
        elif attempt.kind == "update":
            for name in sorted(_overwritten(contact, attempt, binding)):
                yield f"send {attempt.number} overwrote {name}, which was changed in LeadGenius"


def _overwritten(
    contact: ContactEvidence, attempt: Attempt, binding: JourneyBinding
) -> Iterator[str]:
    """The fields whose value was neither the base nor the new one."""
    told, before = _parsed(contact.base_at(attempt.number)), _parsed(attempt.before)
    decided = _parsed(attempt.overrode)
    for name, value in _parsed(attempt.fields).items():
        there = before.get(name)
        if name == "notes":
            ours = [told.get(name), *_cut(told.get(name), binding)]
            is_kept = _keeps_lines(ours, value, there, decided.get(name))
        else:
            is_kept = name in decided or _same(name, there, told.get(name))
        is_put_back = not _text(there) and any(
            _same(name, value, _parsed(earlier.before).get(name))
            for earlier in contact.attempts
            if earlier.number < attempt.number and earlier.kind == "update"
        )
        if not (is_kept or is_put_back or _same(name, there, value)):
            yield name


def _keeps_lines(told: Sequence[object], value: object, there: object, decided: object) -> bool:
    """
    Whether new notes have all lines that others wrote.

    Args:
        told: What LeadGenius was told, and that as it may be stored.
    """
    if decided == "amend":
        return True
    lost = Counter(_lines(there)) - Counter(_lines(value))
    for one in told:
        lost -= Counter(_lines(one))
    ours = {_label(line) for one in (*told, value) for line in _lines(one)}
    return not lost or (decided is not None and all(_label(line) in ours for line in lost))


def _cut(notes: object, binding: JourneyBinding) -> Iterator[str]:
    """Notes as a LeadGenius that cuts them stores them, and the whole lines of these."""
    for limit in binding.notes_limits:
        if isinstance(notes, str) and len(notes) > limit:
            yield notes[:limit]
            yield notes[: limit + 1].rpartition("\n")[0]


def _is_stored(name: str, told: object, there: object, binding: JourneyBinding) -> bool:
    """Whether a listed value is as it was told, as far as LeadGenius stores it."""
    if name == "notes":
        return any({*_lines(there)} == {*_lines(one)} for one in (told, *_cut(told, binding)))
    is_dropped = any(name not in kept for kept in binding.fields_kept)
    return _same(name, told, there) or (is_dropped and not _text(there))


def deletes(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """A deleted lead was made by a send of this ledger or carried the record line, unedited."""
    made = {attempt.lead_id: attempt for attempt in contact.creates()}
    for attempt in contact.attempts:
        if attempt.kind != "delete":
            continue
        is_ours = attempt.lead_id in made
        if not is_ours and not {"adopted", "doubled"} & _parsed(attempt.overrode).keys():
            yield f"send {attempt.number} deletes lead {attempt.lead_id}, which no send made"
        if binding.is_forgotten or contact.is_emptied:
            continue
        if attempt.before is None:
            if not is_ours:
                yield f"send {attempt.number} does not say which lead it deletes"
            continue
        before = _parsed(attempt.before)
        wrong = list(_not_as_left(contact, attempt, before, binding))
        create = made.get(attempt.lead_id)
        made_status = create and create.made_status
        if made_status is not None and not _same("status", before.get("status"), made_status):
            wrong.append("status")
        if wrong:
            named = f"lead {attempt.lead_id}, which was not as it was left: {', '.join(wrong)}"
            yield f"send {attempt.number} deletes {named}"


def _not_as_left(
    contact: ContactEvidence, attempt: Attempt, before: _Lead, binding: JourneyBinding
) -> Iterator[str]:
    """What of a lead was not as LeadGenius had been told, or not ours."""
    told = _parsed(contact.base_at(attempt.number))
    if before.get("client_id", binding.client_id) != binding.client_id:
        yield "client_id"
    if not {contact.hubspot_id, *contact.predecessors} & records_of(before, binding.portal_id):
        yield "record line"
    yield from sorted(
        name
        for name in {*told, "notes"}
        if not _is_stored(name, told.get(name), before.get(name), binding)
    )


def undone(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """An undone contact was taken back once, and what was deleted is listed no more."""
    if contact.held == "undone" and not any(
        (event.target, event.held) == ("mapped", "undone")
        and event.source in ("posted", "verified")
        for event in contact.events
    ):
        yield "undone, but no lead of it was ever taken back"
    for lead_id in contact.deleted_but_listed:
        if lead_id != contact.lead_id:
            yield f"its lead {lead_id} is listed, but it was deleted"


def _parsed(text: str | None) -> dict[str, Any]:
    """A stored JSON object; {} if it is none, which another rule reports."""
    try:
        return fields(text)
    except ValueError:
        return {}


def _same(name: str, one: object, other: object) -> bool:
    if name == "email":
        return email_of(one) == email_of(other)
    if name == "notes":
        return _lines(one) == _lines(other)
    return _text(one) == _text(other)


def _text(value: object) -> str:
    """A value in the form in which it is compared, without spaces around it; None is empty."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return unicodedata.normalize("NFC", "\n".join(text.splitlines())).strip()


def _lines(value: object) -> list[str]:
    return [line for one in _text(value).splitlines() if (line := one.strip())]


def _label(line: str) -> str:
    """What a line of ours is recognised by when its value was rewritten."""
    return line.partition(":")[0]
