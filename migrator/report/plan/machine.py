"""A plan for machines, under names that stay as they are. It shows nothing."""

from typing import Any

from migrator.ledger import DuplicatePair
from migrator.report.next_step import next_command
from migrator.report.plan.facts import Plan
from migrator.report.plan.samples import Sample
from migrator.report.summary import iso
from migrator.states import State


def as_json(plan: Plan) -> dict[str, Any]:
    """
    The plan as values that JSON can hold.

        ledger, at, journey   as in `report --json`, but as a push would have them
        sendable              contacts that are free to be sent
        would_send            those of them that are left after the look at the destination
        in_doubt              contacts that a push settles first
        to_map                contacts that `stage` has to map first
        outdated              sendable ones whose leads another mapping built
        extracted             whether a sweep through HubSpot came to its last page
        made_up               {kind: sendable contacts}
        company               {primary, associatedcompanyid, first, none: sendable contacts}; only
                              those that there are
        without_company_name  sendable contacts
        held                  {reason: contacts}
        duplicates            {contacts, first: [{contact, winner, why}]}
        destination           {looked, why_not, leads, requests, adopted, duplicates, held};
                              adopted: contacts whose leads are there with our line; duplicates:
                              contacts with the e-mail of one of those; held: contacts whose e-mail
                              another lead has; null = not looked
        requests              {look, settle, canary, leads, checks, push, logins, verification}
        per_minute, seconds   the pace that is reckoned with, and how long the push takes at it
        samples               [{contact, would_be_sent, why_not, payload}]
        next                  the next command to type; null = none
    """
    report, requests, look = plan.report, plan.requests, plan.look
    return {
        "ledger": report.ledger,
        "at": iso(report.now_ms),
        "journey": {
            "portal_id": report.binding.portal_id,
            "leadgenius_url": plan.leadgenius_url,
            "client_id": plan.client_id,
        },
        "sendable": plan.sendable,
        "would_send": requests.leads,
        "in_doubt": report.in_doubt,
        "to_map": report.states[State.EXTRACTED].free,
        "outdated": plan.outdated,
        "extracted": report.is_extracted,
        "made_up": dict(plan.made_up),
        "company": dict(plan.company_rules),
        "without_company_name": plan.without_company_name,
        "held": {str(hold): number for hold, number in plan.held.items()},
        "duplicates": {
            "contacts": plan.duplicate_contacts,
            "first": [_rivalry(one) for one in plan.duplicates],
        },
        "destination": {
            "looked": look is not None,
            "why_not": plan.not_looked,
            "leads": None if look is None else look.leads,
            "requests": None if look is None else look.pages,
            "adopted": None if look is None else look.ours,
            "duplicates": None if look is None else look.beaten,
            "held": None if look is None else look.foreign,
        },
        "requests": {
            **{name: value for name, value in vars(requests).items() if name != "per_minute"},
            "push": requests.push,
            "logins": requests.logins,
        },
        "per_minute": requests.per_minute,
        "seconds": round(requests.seconds, 1),
        "samples": [sample_json(one) for one in plan.samples],
        "next": next_command(report) or None,
    }


def sample_json(sample: Sample) -> dict[str, Any]:
    """A contact's payload, or why it is not sent."""
    return {
        "contact": sample.hubspot_id,
        "would_be_sent": sample.why_not is None,
        "why_not": sample.why_not,
        "payload": None if sample.payload is None else dict(sample.payload),
    }


def _rivalry(rivalry: DuplicatePair) -> dict[str, Any]:
    return {
        "contact": rivalry.hubspot_id,
        "winner": rivalry.winner,
        "why": why_it_wins(rivalry),
    }


def why_it_wins(rivalry: DuplicatePair) -> str:
    """Why another contact is sent in the place of a duplicate."""
    if rivalry.winner is None or rivalry.state is None:
        return "no contact has this e-mail any more; `migrator stage` frees it"
    if rivalry.state in (State.POSTED, State.VERIFIED):
        return "LeadGenius has its lead"
    held = "" if rivalry.held is None else f"; itself held: {rivalry.held}"
    return f"{'HubSpot gave it first' if rivalry.is_earlier else 'it is to be sent'}{held}"
