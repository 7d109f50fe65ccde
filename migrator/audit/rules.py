"""
The rules of the audit: each checks a contact with its evidence, or the ledger as a whole.

States and moves are repeated here on purpose: an audit that imported them from `states` would not
detect an error in there.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from migrator.audit.evidence import ContactEvidence, JourneyBinding, LedgerEvidence, fields

_MOVES = {
    ("extracted", "mapped"),
    ("mapped", "extracted"),
    ("mapped", "posted"),
    ("posted", "verified"),
    ("posted", "mapped"),
    ("verified", "mapped"),
}
# Reasons to hold a contact that `verify` has found in LeadGenius.
_AT_LEADGENIUS = ("missing", "different", "doubled")
_STATES = {"extracted", "mapped", "posted", "verified"}
_NO_LEAD = {"refused", "denied", "throttled", "unsent", "absent"}


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
        if attempt.outcome is not None and not attempt.has_lead | (attempt.outcome in _NO_LEAD):
            yield f"send {attempt.number} has the unknown outcome {attempt.outcome}"
        if attempt.has_lead != (attempt.lead_id is not None):
            yield f"send {attempt.number} is {attempt.outcome}, but its lead is {attempt.lead_id}"
    if contact.is_in_doubt and (contact.state, contact.held) != ("mapped", None):
        yield f"in doubt, but {contact.state} ({contact.held or 'free'})"


def _once(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """A contact with a lead was sent again only if the user released it."""
    with_lead = sum(attempt.has_lead for attempt in contact.attempts)
    returns = sum(
        event.source in ("posted", "verified") and event.target == "mapped"
        for event in contact.events
    )
    # A lead that turned out to be another contact's does not count.
    others = sum(event.held == "already_in_destination" for event in contact.events)
    if with_lead > returns + 1 + others:
        yield f"{with_lead} of its sends created a lead, but it was released {returns} times"
    has_lead_now = bool(contact.attempts) and contact.attempts[-1].has_lead
    if has_lead_now and contact.lead_id is None and not returns and not others:
        yield "its last send created a lead, but it is not posted"


def _trace(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """The lead was created by a recorded send, or carries the record line (adopted)."""
    if contact.lead_id is None:
        return
    known = (*contact.attempts, *contact.inherited)
    sends = [attempt for attempt in known if attempt.lead_id == contact.lead_id]
    if not sends:
        # `verify` has seen its record line; people may have edited the notes since.
        is_known = contact.state == "verified" or contact.held in _AT_LEADGENIUS
        if contact.lead_id not in contact.listed and not is_known:
            yield f"neither a send nor a record line accounts for its lead {contact.lead_id}"
    elif _is_comparable(contact, binding) and sends[-1].payload_hash != _hash(contact, binding):
        yield f"send {sends[-1].number} recorded another payload than that of its lead"


def _listed(contact: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """The listing shows its lead, and no other lead of this contact."""
    if binding.client_id is None:
        return
    if contact.lead_id is not None and not contact.lead_is_listed and contact.held != "missing":
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


def _is_comparable(contact: ContactEvidence, binding: JourneyBinding) -> bool:
    """Whether the lead in the ledger is the one that was sent: neither erased nor adopted."""
    posted = sum((event.source, event.target) == ("mapped", "posted") for event in contact.events)
    was_adopted = posted > sum(attempt.has_lead for attempt in contact.attempts)
    return not binding.is_forgotten and not was_adopted


def _hash(contact: ContactEvidence, binding: JourneyBinding) -> str | None:
    """The hash of the payload; None = the stored lead is corrupt."""
    try:
        payload = {"client_id": binding.client_id, **fields(contact.lead or "{}")}
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
    except ValueError:
        return None


RULES = {
    "state": _state,
    "history": _history,
    "attempts": _attempts,
    "once": _once,
    "trace": _trace,
    "listed": _listed,
}
