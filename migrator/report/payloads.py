"""The request body that a push would send for a contact, or why it would send none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from migrator.ledger import ContactSummary, Ledger
from migrator.report.find import find_contacts
from migrator.report.labels import HOLDS
from migrator.states import State

READ_AT_ONCE = 200
MOST_OF_ONE_EMAIL = 5


@dataclass(frozen=True)
class Sample:
    """
    One contact.

    Args:
        payload: The body of its request, as it would be or was sent, without a `client_id` where
            none is chosen; `None` = it has no lead.
        why_not: Why a push would not send it; `None` = it would.
    """

    hubspot_id: str
    payload: Mapping[str, Any] | None
    why_not: str | None


def first(
    ledger: Ledger, client_id: str | None, keeps_back: Callable[[int], bool], limit: int
) -> list[Sample]:
    """The first contacts that a push would send; `keeps_back` tells by key which it would not."""
    samples: list[Sample] = []
    after = 0
    while len(samples) < limit and (found := ledger.sendable.to_send(after, READ_AT_ONCE)):
        after = found[-1].key
        samples += [
            Sample(one.hubspot_id, _payload(client_id, one.lead), None)
            for one in found
            if not keeps_back(one.key)
        ]
    return samples[:limit]


def of_contact(ledger: Ledger, client_id: str | None, named: str) -> list[Sample]:
    """
    The contacts that an id or e-mail address names; first the one that was or will be sent.

    Raises:
        UsageError: there is none.
    """
    with ledger.transaction():
        keys = find_contacts(ledger, named)[:MOST_OF_ONE_EMAIL]
        return [_sample(ledger, client_id, one) for one in ledger.lookup.summaries(keys)]


def sample_json(sample: Sample) -> dict[str, Any]:
    """A sample as JSON values."""
    return {
        "contact": sample.hubspot_id,
        "would_be_sent": sample.why_not is None,
        "why_not": sample.why_not,
        "payload": None if sample.payload is None else dict(sample.payload),
    }


def _sample(ledger: Ledger, client_id: str | None, contact: ContactSummary) -> Sample:
    lead = ledger.lookup.provenance(contact.key).lead
    payload = None if lead is None else _payload(client_id, lead)
    return Sample(contact.hubspot_id, payload, _why_not(ledger, contact))


def _payload(client_id: str | None, lead: Mapping[str, Any]) -> dict[str, Any]:
    client = {} if client_id is None else {"client_id": client_id}
    return {**client, **lead}


def _why_not(ledger: Ledger, contact: ContactSummary) -> str | None:
    if contact.state in (State.POSTED, State.VERIFIED):
        return f"it was sent: LeadGenius has it as lead {contact.lead_id}"
    if contact.forgotten_ms is not None:
        return "it was forgotten"
    if contact.held is not None:
        meaning, advice = HOLDS[contact.held]
        detail = f" ({contact.detail})" if contact.detail else ""
        return f"it is held as {contact.held}: {meaning}{detail} {'; '.join(advice)}"
    if contact.state is State.EXTRACTED:
        return "it is not mapped yet: `migrator stage`"
    attempts = ledger.lookup.attempts(contact.key)
    if attempts and attempts[-1].outcome is None:
        return "it is in doubt: `migrator push --resume` looks for it before it sends it again"
    return None
