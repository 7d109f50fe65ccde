"""
The rules of the audit: each checks a contact with its evidence, or the ledger as a whole.

States and moves are repeated here on purpose: an audit that imported them from `states` would not
detect an error in there.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from migrator.audit.evidence import LedgerEvidence
from migrator.audit.records import Attempt, ContactEvidence, JourneyBinding, fields
from migrator.audit.write_rules import base, deletes, undone, values

_MOVES = {
    ("extracted", "mapped"),
    ("mapped", "extracted"),
    ("mapped", "posted"),
    ("posted", "verified"),
    ("posted", "mapped"),
    ("verified", "mapped"),
    ("verified", "posted"),
}
# Reasons to hold a contact that `verify` has found in LeadGenius.
_AT_LEADGENIUS = ("missing", "different", "doubled", "conflict")
_STATES = {"extracted", "mapped", "posted", "verified"}
# How each kind of attempt can end; and every kind not done at all.
_DONE = {
    "create": {"created", "found"},
    "update": {"updated", "found", "edited"},
    "delete": {"deleted", "found"},
}
_NOT_DONE = {"refused", "denied", "throttled", "unsent", "absent"}


@dataclass(frozen=True)
class PromiseBroken:
    """
    A violation of a rule, or a gap in the proof.

    Args:
        rule: The name of the rule.
        contact: HubSpot's id; None = the whole ledger.
        words: What is wrong, for people.
    """

    rule: str
    contact: str | None
    words: str


def faults_of(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[PromiseBroken]:
    """Check a contact against all rules."""
    for rule, check in RULES.items():
        for words in check(contact, binding):
            yield PromiseBroken(rule, contact.hubspot_id, words)


def faults_of_all(evidence: LedgerEvidence) -> Iterator[PromiseBroken]:
    """Check the ledger as a whole."""
    counted, stored, given = evidence.sums()
    if counted != stored:
        yield PromiseBroken("sums", None, f"the ledger says {stored}, but there are {counted}")
    if (number := sum(counted.values())) != given:
        yield PromiseBroken("sums", None, f"HubSpot gave {given} contacts, but there are {number}")
    for run, announced, recorded in evidence.intents():
        if announced != recorded:
            when = "" if run is None else f" before run {run}"
            words = f"{announced} intents were counted{when}, but {recorded} are recorded"
            yield PromiseBroken("intents", None, words)
    if orphans := evidence.orphans():
        yield PromiseBroken("orphans", None, f"{orphans} sends or events have no contact or run")
    for contact, other in evidence.shared_emails():
        words = f"contact {other} has the same e-mail and was sent too"
        yield PromiseBroken("email", contact, words)


def _state(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """The state exists, and the contact has what it implies (design, I7)."""
    if contact.state not in _STATES:
        yield f"the state {contact.state} does not exist"
    if (contact.state in ("posted", "verified")) != (contact.lead_id is not None):
        yield f"{contact.state}, but its lead is {contact.lead_id}"
    if (contact.state == "extracted") != (contact.lead is None):
        yield f"{contact.state}, but has {'no' if contact.lead is None else 'a'} lead to send"
    if contact.held == "gone" and (contact.gone is None or contact.lead_id is not None):
        yield f"held as gone, but HubSpot has it, or its lead is {contact.lead_id}"
    if contact.successor is not None and (contact.gone is None or contact.lead_id is not None):
        yield f"contact {contact.successor} has its lead, but it is not gone or has one, too"


def _history(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """The history begins with the extraction, has legal moves, and ends with the current state."""
    events = contact.events
    if [event.number for event in events] != list(range(1, len(events) + 1)):
        yield "its history has gaps"
    if not events or (events[0].source, events[0].target) != (None, "extracted"):
        yield "its history does not begin with its extraction"
        return
    for before, after in pairwise(events):
        if after.source != before.target:
            yield f"event {after.number} begins at {after.source}, not at {before.target}"
        if after.source != after.target and (after.source, after.target) not in _MOVES:
            yield f"it moved from {after.source} to {after.target}"
    if (events[-1].target, events[-1].held) != (contact.state, contact.held):
        yield f"its history ends with {events[-1].target} ({events[-1].held or 'free'})"


def _attempts(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """Sends are numbered, in the order of their runs, and each is settled before the next one."""
    attempts = contact.attempts
    if [attempt.number for attempt in attempts] != list(range(1, len(attempts) + 1)):
        yield "its sends are not numbered one after the other"
    for before, after in pairwise(attempts):
        if before.outcome is None:
            yield f"send {after.number} began while send {before.number} was in doubt"
        if after.run_id < before.run_id:
            yield f"send {after.number} is of an older run than send {before.number}"
    for attempt in attempts:
        yield from _faults_of_attempt(attempt)
    open_kind = next((one.kind for one in attempts if one.outcome is None), None)
    if open_kind == "create" and (contact.state, contact.held) != ("mapped", None):
        yield f"in doubt, but {contact.state} ({contact.held or 'free'})"
    if open_kind in ("update", "delete") and contact.lead_id is None:
        yield f"its {open_kind} is in doubt, but it has no lead"


def _faults_of_attempt(attempt: Attempt) -> Iterator[str]:
    named, outcome = f"send {attempt.number}", attempt.outcome
    if attempt.kind not in _DONE:
        yield f"{named} is of the unknown kind {attempt.kind}"
        return
    if outcome is not None and outcome not in _DONE[attempt.kind] | _NOT_DONE:
        yield f"{named} is a {attempt.kind}, but has the outcome {outcome}"
    if (attempt.kind == "create" and not attempt.has_lead) != (attempt.lead_id is None):
        yield f"{named} is {outcome}, but its lead is {attempt.lead_id}"
    if attempt.fields is not None and attempt.kind != "update":
        yield f"{named} is a {attempt.kind}, but has fields to update"
    if attempt.kind == "delete" and attempt.payload_hash != _sha256(attempt.lead_id or ""):
        yield f"{named} recorded another payload than the id of the lead that it deletes"


def _once(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """A contact with a lead was sent again only if the user released it."""
    with_lead = sum(attempt.has_lead for attempt in contact.attempts)
    releases = contact.releases
    if with_lead > releases + 1:
        yield f"{with_lead} of its sends created a lead, but it was released {releases} times"
    creates = [attempt for attempt in contact.attempts if attempt.kind == "create"]
    has_lead_now = bool(creates) and creates[-1].has_lead
    if has_lead_now and contact.lead_id is None and not releases:
        yield "its last send created a lead, but it is not posted"


def _trace(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """Each lead was created by a recorded send of this payload, or carries the record line."""
    made = {attempt.lead_id for attempt in contact.creates()}
    # `verify` has seen its record line; people may have edited the notes since.
    is_known = contact.state == "verified" or contact.held in _AT_LEADGENIUS
    is_traced = contact.lead_id in {None, *made, *contact.listed}
    if not is_traced and not is_known and not contact.is_being_undone:
        yield f"neither a send nor a record line accounts for its lead {contact.lead_id}"
    if binding.is_forgotten or contact.is_emptied:
        return
    for attempt in contact.attempts:
        is_its_own = attempt.has_lead and attempt.lead_id in contact.lead_ids
        if is_its_own and attempt.payload_hash not in _hashes(contact, attempt, binding):
            yield f"send {attempt.number} recorded another payload than that of its lead"


def _listed(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """The listing shows its lead, and no other lead of this contact."""
    if binding.client_id is None:
        return
    is_missed = contact.held == "missing" or contact.is_being_undone
    if contact.lead_id is not None and not contact.lead_is_listed and not is_missed:
        yield f"its lead {contact.lead_id} is not listed"
    by_email = () if contact.lead_id is None else contact.same_email
    others = sorted({*contact.listed, *contact.left, *by_email} - {contact.lead_id})
    if others and contact.lead_id is not None:
        yield f"it has {len(others)} more leads than {contact.lead_id}: {', '.join(others)}"
    elif others and contact.attempts and not contact.is_in_doubt:
        # Without a send it was created with another ledger; the next push adopts it.
        yield f"its lead {', '.join(others)} is listed, but the ledger has none"
    elif len(others) > 1:
        yield f"in doubt, but it has {len(others)} leads: {', '.join(others)}"


def _hashes(contact: ContactEvidence, attempt: Attempt, binding: JourneyBinding) -> Iterator[str]:
    """The hash of a create's payload, first that of its lead as it is stored."""
    lead = contact.base_at(attempt.number) or "{}"
    yield _sha256(f"{_head(binding.client_id)},{lead[1:]}")
    # A stored lead may have its fields in another form than JSON without spaces.
    with suppress(ValueError):  # it is corrupt
        yield _sha256(_encode({"client_id": binding.client_id, **fields(lead)}))


@cache
def _head(client_id: str | None) -> str:
    """A payload's JSON up to its fields."""
    return _encode({"client_id": client_id})[:-1]


# Made once: to make an encoder takes longer than to use it.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


RULES = {
    "state": _state,
    "history": _history,
    "attempts": _attempts,
    "once": _once,
    "trace": _trace,
    "base": base,
    "values": values,
    "deletes": deletes,
    "undone": undone,
    "listed": _listed,
}
