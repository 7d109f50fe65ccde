"""
What speaks against the promise: each rule looks at one contact with its evidence, or at the sums.

The words of the state machine stand here once more, on purpose: a judge that borrowed them from
`states` or `schema.sql` would agree with whatever those come to say.
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
# Held for what LeadGenius shows: `verify` has named it, and a person settles it.
_AT_LEADGENIUS = ("missing", "different", "doubled")
_STATES = {"extracted", "mapped", "posted", "verified"}
_NO_LEAD = {"refused", "denied", "throttled", "unsent", "absent"}


@dataclass(frozen=True)
class PromiseBroken:
    """
    A place where the promise does not hold, or cannot be proven.

    Args:
        rule: The rule's name, for machines.
        contact: HubSpot's id; None = it concerns the whole ledger.
        words: What is wrong, for people.
    """

    rule: str
    contact: str | None
    words: str


def faults_of(case: ContactEvidence, binding: JourneyBinding) -> Iterator[PromiseBroken]:
    """Everything that is wrong with one contact."""
    for rule, check in RULES.items():
        for words in check(case, binding):
            yield PromiseBroken(rule, case.hubspot_id, words)


def faults_of_all(evidence: LedgerEvidence) -> Iterator[PromiseBroken]:
    """Everything that is wrong with the ledger as a whole."""
    here, said, given = evidence.sums()
    if here != said:
        yield PromiseBroken("sums", None, f"the ledger counts {said}, and there are {here}")
    if sum(here.values()) != given:
        yield PromiseBroken(
            "sums", None, f"HubSpot gave {given} contacts, and there are {sum(here.values())}"
        )
    if orphans := evidence.orphans():
        yield PromiseBroken("orphans", None, f"{orphans} sends or events belong to nobody")
    for contact, other in evidence.shared_emails():
        yield PromiseBroken(
            "email", contact, f"contact {other} has the same e-mail and was sent too"
        )


def _state(case: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """A state is one of four, and says what must be there (design, I7)."""
    if case.state not in _STATES:
        yield f"there is no state {case.state}"
    if (case.state in ("posted", "verified")) != (case.lead_id is not None):
        yield f"{case.state}, and its lead is {case.lead_id}"
    if (case.state == "extracted") != (case.lead is None):
        yield f"{case.state}, and it {'has no' if case.lead is None else 'has a'} lead to send"


def _history(case: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """The history begins with a birth, moves legally, and ends where the contact stands."""
    events = case.events
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
    if (events[-1].target, events[-1].held) != (case.state, case.held):
        yield f"its history ends with {events[-1].target} ({events[-1].held or 'free'})"


def _attempts(case: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """Sends follow each other: numbered, by runs in their order, one settled before the next."""
    attempts = case.attempts
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
            yield f"send {attempt.number} is {attempt.outcome} and has the lead {attempt.lead_id}"
    if case.is_in_doubt and (case.state, case.held) != ("mapped", None):
        yield f"in doubt, and yet {case.state} ({case.held or 'free'})"


def _once(case: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """It was sent again after it had a lead only when the user asked for that, in history."""
    with_lead = sum(attempt.has_lead for attempt in case.attempts)
    returns = sum(
        event.source in ("posted", "verified") and event.target == "mapped" for event in case.events
    )
    # A lead that belongs to another contact was never this one's: it was held for that.
    others = sum(event.held == "already_in_destination" for event in case.events)
    if with_lead > returns + 1 + others:
        yield f"{with_lead} of its sends have left a lead, and it was released {returns} times"
    has_lead_now = bool(case.attempts) and case.attempts[-1].has_lead
    if has_lead_now and case.lead_id is None and not returns and not others:
        yield "its last send has left a lead, and it is not posted"


def _trace(case: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """Its lead comes from a send that the ledger announced, or carries its line (adopted)."""
    if case.lead_id is None:
        return
    sends = [attempt for attempt in case.attempts if attempt.lead_id == case.lead_id]
    if not sends:
        # A verified one had its line; people edit notes, and `verify` says so.
        is_known = case.state == "verified" or case.held in _AT_LEADGENIUS
        if case.lead_id not in case.listed and not is_known:
            yield f"no send of this ledger, and no line, tells of its lead {case.lead_id}"
    elif _is_comparable(case, binding) and sends[-1].payload_hash != _hash(case, binding):
        yield f"send {sends[-1].number} announced another payload than the one of its lead"


def _listed(case: ContactEvidence, binding: JourneyBinding) -> Iterator[str]:
    """The listing shows its one lead, and no other of its sends, with its line or its e-mail."""
    if binding.client_id is None:
        return
    if case.lead_id is not None and not case.lead_is_listed and case.held != "missing":
        yield f"its lead {case.lead_id} is not listed"
    by_email = () if case.lead_id is None else case.same_email
    others = sorted({*case.listed, *case.left, *by_email} - {case.lead_id})
    if others and case.lead_id is not None:
        yield f"it has {len(others)} more leads than {case.lead_id}: {', '.join(others)}"
    elif others and case.attempts and not case.is_in_doubt:
        # Without a send it is another ledger's, which the next push takes over.
        yield f"{', '.join(others)} is listed and is its lead, and the ledger knows of none"
    elif len(others) > 1:
        yield f"in doubt, and it has {len(others)} leads: {', '.join(others)}"


def _is_comparable(case: ContactEvidence, binding: JourneyBinding) -> bool:
    """Whether the lead in the ledger is the one that was sent: not forgotten, nor adopted since."""
    posted = sum((event.source, event.target) == ("mapped", "posted") for event in case.events)
    was_adopted = posted > sum(attempt.has_lead for attempt in case.attempts)
    return not binding.is_forgotten and not was_adopted


def _hash(case: ContactEvidence, binding: JourneyBinding) -> str | None:
    """Of what would be sent for it; None = its lead is no JSON object any more."""
    try:
        payload = {"client_id": binding.client_id, **fields(case.lead or "{}")}
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
