"""
What a push would do: which leads it would send, which not and why, and how many requests it takes.

`read` reads a `Plan` from the ledger and, where there is one, a listing of the client;
`as_json` shows it, and `plan_page` in the terminal. It changes nothing and sends no request.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.errors import NotReady
from migrator.findings import Findings, ProbeRecord
from migrator.lead_profile import LeadProfile, profile_json, read_profile
from migrator.ledger import DuplicatePair, Ledger, ProvenanceGroup
from migrator.mapping_versions import active_rules
from migrator.rate_limit import SAFE_PER_MINUTE
from migrator.report import summary
from migrator.report.destination_scan import DestinationScan
from migrator.report.labels import iso
from migrator.report.next_step import next_command
from migrator.report.payloads import Sample, first, sample_json
from migrator.report.request_estimate import RequestEstimate, estimate
from migrator.report.summary import Report
from migrator.report.summary_json import probe_json
from migrator.states import Hold, State

FIRST_DUPLICATES = 5


@dataclass(frozen=True)
class Plan:
    """
    What a push would do; the page and the JSON show this.

    Args:
        report: The report on the ledger.
        leadgenius_url, client_id: Destination of the leads; `client_id=None` = not chosen yet.
        alike: The contacts to send, grouped by how their leads were derived.
        profile: What is worth a look in these leads.
        duplicates: The first duplicates, and the contact sent in place of each.
        look: Result of listing the client; `None` = not listed, for the reason in `not_looked`.
        requests: Number of requests that the push takes.
        is_pace_found: Whether the rate is one that an earlier push found.
        probe: What a probe found out about LeadGenius; `None` = it was never probed.
        notes_cut: Contacts to send whose notes are longer than what LeadGenius stores.
        samples: The first leads, as they would be sent.
    """

    report: Report
    leadgenius_url: str
    client_id: str | None
    alike: Sequence[ProvenanceGroup]
    profile: LeadProfile
    duplicates: Sequence[DuplicatePair]
    look: DestinationScan | None
    not_looked: str | None
    requests: RequestEstimate
    is_pace_found: bool
    samples: Sequence[Sample]
    probe: ProbeRecord | None = None
    notes_cut: int = 0

    @property
    def sendable(self) -> int:
        """Contacts that are ready to send."""
        return self.report.states[State.MAPPED].free

    @property
    def made_up(self) -> Mapping[str, int]:
        """Contacts to send by value that the mapping derived; one can count several times."""
        counter: Counter[str] = Counter()
        for one in self.alike:
            counter.update(dict.fromkeys(one.derived_fields, one.contacts))
        return dict(sorted(counter.items()))

    @property
    def company_rules(self) -> Mapping[str, int]:
        """Contacts to send by rule that chose the company; `none` = HubSpot has none."""
        counter: Counter[str] = Counter()
        for one in self.alike:
            counter[one.company_rule or "none"] += one.contacts
        return dict(sorted(counter.items()))

    @property
    def without_company_name(self) -> int:
        """Contacts to send whose leads have no company name."""
        return sum(one.contacts for one in self.alike if not one.has_company_name)

    @property
    def outdated(self) -> int:
        """Contacts to send whose leads were built by a mapping that is not active any more."""
        return sum(one.contacts for one in self.alike if one.is_outdated)

    @property
    def held(self) -> Mapping[Hold, int]:
        """Held contacts by reason."""
        return {waiting.held: waiting.contacts for waiting in self.report.held}

    @property
    def duplicate_contacts(self) -> int:
        """Contacts that are not sent because another one has the same e-mail."""
        return self.held.get(Hold.DUPLICATE_EMAIL, 0)

    @property
    def conflicts(self) -> int:
        """Contacts that wait for a person to decide between HubSpot's value and LeadGenius's."""
        return self.held.get(Hold.CONFLICT, 0) + self.held.get(Hold.DIFFERENT, 0)


def check_staged(ledger: Ledger) -> None:
    """
    Ensure that there is something to plan.

    Raises:
        LedgerForgotten: the ledger's personal data was erased.
        NotReady: nothing was staged yet.
    """
    ledger.erasure.ensure_not_erased()
    extraction = ledger.runs.checkpoint("extraction")
    if ledger.runs.binding().portal_id is None or not (extraction.contacts_seen or extraction.scan):
        raise NotReady(f"Nothing is staged in the ledger {ledger.path} yet.", "migrator stage")


def read(
    ledger: Ledger,
    *,
    leadgenius_url: str,
    client_id: str | None,
    look: DestinationScan | None,
    not_looked: str | None,
    per_minute: float | None,
    samples: int,
    probe: ProbeRecord | None = None,
) -> Plan:
    """
    Read the plan.

    Args:
        look: Result of listing the client; `None` = not listed.
        not_looked: Why it was not listed, for people.
        per_minute: Rate to assume; `None` = what an earlier push found, else the safe one.
        samples: Number of sample leads to read.
        probe: The newest probe of this LeadGenius.
    """
    findings = Findings() if probe is None else probe.findings
    report = summary.read(ledger)
    keeps_back = (look or DestinationScan()).keeps_back
    with ledger.transaction():
        found = ledger.runs.rate() if per_minute is None else None
        pace = per_minute or found or findings.rate_limit or SAFE_PER_MINUTE
        return Plan(
            report=report,
            leadgenius_url=leadgenius_url,
            client_id=client_id,
            alike=ledger.counts.by_provenance(),
            profile=read_profile(ledger, active_rules(ledger)),
            duplicates=ledger.counts.duplicate_pairs(FIRST_DUPLICATES),
            look=look,
            not_looked=not_looked,
            requests=_estimate(ledger, report, look, pace, findings.page_limit),
            is_pace_found=found is not None,
            samples=first(ledger, client_id, keeps_back, samples),
            probe=probe,
            notes_cut=ledger.counts.with_longer_notes(findings.notes_limit),
        )


def _estimate(
    ledger: Ledger,
    report: Report,
    look: DestinationScan | None,
    per_minute: float,
    page_limit: int | None,
) -> RequestEstimate:
    states, journey = report.states, ledger.runs
    known = states[State.POSTED].total + states[State.VERIFIED].total
    free = states[State.MAPPED].free
    return estimate(
        leads=free if look is None else max(0, free - look.kept_back),
        there=known if look is None else look.leads,
        # What another ledger sent last may still arrive: a push then lists twice.
        looks=2 if look and look.ours else int(free > 0),
        in_doubt=report.in_doubt,
        canary=not journey.is_canary_passed(),
        per_minute=per_minute,
        page_limit=page_limit,
    )


# As JSON


def as_json(plan: Plan) -> dict[str, Any]:
    """
    The plan as JSON values, under names that do not change.

        ledger, at, journey   as in `report --json`, but as a push would have them
        sendable              contacts that are ready to send
        would_send            those of them that are not kept back by leads at the destination
        in_doubt              contacts that a push settles first
        to_map                contacts that `stage` has to map first
        outdated              sendable ones whose leads were built by another mapping
        extracted             whether a scan of HubSpot reached its last page
        made_up               {kind: sendable contacts}
        company               {primary, associatedcompanyid, first, none: sendable contacts}; only
                              those that there are
        without_company_name  sendable contacts
        profile               as `lead_profile.profile_json` has it
        held                  {reason: contacts}
        duplicates            {contacts, first: [{contact, winner, why}]}
        update                {changed_since_sent, conflicts, gone}: contacts that `update` would
                              compare, those that wait for a decision, and those with a lead that
                              HubSpot has no more
        destination           {looked, why_not, leads, requests, adopted, duplicates, held};
                              adopted: contacts whose leads are there with our line; duplicates:
                              contacts with the e-mail of one of those; held: contacts whose e-mail
                              another lead has; null = not looked
        requests              {look, settle, canary, leads, checks, push, logins, verification}
        per_minute, seconds   the rate that is assumed, and how long the push takes at it
        probe                 {at, differs}: as in `report --json`; null = never probed
        notes_cut             sendable contacts whose notes LeadGenius will cut, by the probe
        samples               [{contact, would_be_sent, why_not, payload}]
        next                  the next command to type; null = none
    """
    report = plan.report
    return {
        "ledger": report.ledger,
        "at": iso(report.now_ms),
        "journey": {
            "portal_id": report.binding.portal_id,
            "leadgenius_url": plan.leadgenius_url,
            "client_id": plan.client_id,
        },
        **_contacts_json(plan),
        "destination": _destination_json(plan.look, plan.not_looked),
        **_requests_json(plan.requests),
        "probe": probe_json(plan.probe),
        "notes_cut": plan.notes_cut,
        "samples": [sample_json(one) for one in plan.samples],
        "next": next_command(report) or None,
    }


def _contacts_json(plan: Plan) -> dict[str, Any]:
    report = plan.report
    return {
        "sendable": plan.sendable,
        "would_send": plan.requests.leads,
        "in_doubt": report.in_doubt,
        "to_map": report.states[State.EXTRACTED].free,
        "outdated": plan.outdated,
        "extracted": report.is_extracted,
        "made_up": dict(plan.made_up),
        "company": dict(plan.company_rules),
        "without_company_name": plan.without_company_name,
        "profile": profile_json(plan.profile),
        "held": {str(hold): number for hold, number in plan.held.items()},
        "duplicates": {
            "contacts": plan.duplicate_contacts,
            "first": [_pair_json(one) for one in plan.duplicates],
        },
        "update": {
            "changed_since_sent": report.changed.contacts,
            "conflicts": plan.conflicts,
            "gone": report.gone.contacts,
        },
    }


def _destination_json(look: DestinationScan | None, why_not: str | None) -> dict[str, Any]:
    return {
        "looked": look is not None,
        "why_not": why_not,
        "leads": look and look.leads,
        "requests": look and look.pages,
        "adopted": look and look.ours,
        "duplicates": look and look.beaten,
        "held": look and look.foreign,
    }


def _requests_json(requests: RequestEstimate) -> dict[str, Any]:
    purposes = {name: value for name, value in vars(requests).items() if name != "per_minute"}
    return {
        "requests": {**purposes, "push": requests.push, "logins": requests.logins},
        "per_minute": requests.per_minute,
        "seconds": round(requests.seconds, 1),
    }


def _pair_json(pair: DuplicatePair) -> dict[str, Any]:
    return {
        "contact": pair.hubspot_id,
        "winner": pair.winner,
        "why": why_it_wins(pair),
    }


def why_it_wins(pair: DuplicatePair) -> str:
    """Why another contact is sent in place of a duplicate."""
    if pair.winner is None or pair.state is None:
        return "no contact has this e-mail any more; `migrator stage` frees it"
    if pair.state in (State.POSTED, State.VERIFIED):
        return "LeadGenius has its lead"
    held = "" if pair.held is None else f"; itself held: {pair.held}"
    return f"{'HubSpot returned it first' if pair.is_earlier else 'it is ready to send'}{held}"
