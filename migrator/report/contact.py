"""
The history of one contact: from HubSpot's values to the lead, each write and each state change.

`read` reads a `ContactReport` from the ledger; `as_json` shows it, and `contact_page` prints it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.ledger import (
    ConflictedContact,
    ContactSummary,
    GoneContact,
    LeadVersions,
    Ledger,
    Run,
    SendAttempt,
    StateChange,
)
from migrator.report import summary
from migrator.report.find import find_contacts
from migrator.report.labels import iso
from migrator.report.since_sent import changes

# At most so many contacts with one e-mail address are shown, and so many others with it listed.
MOST_CONTACTS = 5
MOST_SAME_EMAIL = 5


@dataclass(frozen=True)
class ContactHistory:
    """
    Everything in the ledger about one contact. Texts are as the services returned them.

    Args:
        contact: Its state.
        source: The properties from HubSpot that the mapping reads.
        company_id, company_rule, company: The company used, the rule that chose it, and its
            properties; `company=None` = HubSpot does not return it, or there is none.
        amended: Values that a person entered in place of HubSpot's; `None` = none.
        lead: The lead as it is or would be sent, without the client_id; `None` = not mapped.
        made_up: Values that the mapping derived or cleaned.
        mapping: Hash of the mapping that built the lead; `None` = not recorded.
        attempts, events: Each send attempt and each state change, oldest first.
        namesakes, first_namesakes: Number of other contacts with its e-mail, and the first few.
        foreign_lead: Id of a lead with its e-mail that was not sent by this ledger.
        changed_ms: When HubSpot was last seen to change from what was posted.
        versions: What was sent and what HubSpot gives now; `None` = they are the same.
        conflict: Fields that a person has to decide; `None` = there are none.
        predecessors: HubSpot's ids of the contacts whose lead it has taken over.
        gone: Why HubSpot has it no more; `None` = it has it.
        edited: Fields of its verified lead that were edited since; `None` = none.
    """

    contact: ContactSummary
    source: Mapping[str, Any]
    company_id: str | None
    company_rule: str | None
    company: Mapping[str, Any] | None
    amended: Any
    lead: Mapping[str, str] | None
    made_up: tuple[str, ...]
    mapping: str | None
    attempts: Sequence[SendAttempt]
    events: Sequence[StateChange]
    namesakes: int
    first_namesakes: Sequence[ContactSummary]
    foreign_lead: str | None
    changed_ms: int | None
    versions: LeadVersions | None
    conflict: ConflictedContact | None
    predecessors: Sequence[str]
    gone: GoneContact | None
    edited: str | None

    @property
    def is_open(self) -> bool:
        """Whether its last send is in flight or in doubt."""
        return bool(self.attempts) and self.attempts[-1].outcome is None


@dataclass(frozen=True)
class ContactReport:
    """
    The contacts with one id or e-mail address; the page and the JSON show this.

    Args:
        found: Number of matching contacts; `told` holds the first of them.
        running: The run in progress.
        forgotten_ms: When personal data was erased from the ledger; `None` = it was not.
    """

    ledger: str
    found: int
    told: Sequence[ContactHistory]
    running: Run | None
    forgotten_ms: int | None


def read(ledger: Ledger, named: str) -> ContactReport:
    """
    Read the contacts that an id or e-mail address names.

    Raises:
        UsageError: there is none.
    """
    # Not in the transaction: the lock is tested to see whether a run is alive.
    report = summary.read(ledger)
    with ledger.transaction():
        keys = find_contacts(ledger, named)
        return ContactReport(
            ledger=report.ledger,
            found=len(keys),
            told=tuple(
                _history_of(ledger, one) for one in ledger.lookup.summaries(keys[:MOST_CONTACTS])
            ),
            running=report.running,
            forgotten_ms=report.forgotten_ms,
        )


def _history_of(ledger: Ledger, contact: ContactSummary) -> ContactHistory:
    lookup, origin = ledger.lookup, ledger.lookup.provenance(contact.key)
    namesakes, first_namesakes = lookup.same_email(contact.key, MOST_SAME_EMAIL)

    return ContactHistory(
        contact=contact,
        source=origin.source.get("properties", {}),
        company_id=origin.company_id,
        company_rule=origin.company_rule,
        company=origin.company,
        amended=origin.amended,
        lead=origin.lead,
        made_up=origin.derived_fields,
        mapping=origin.mapping,
        attempts=lookup.attempts(contact.key),
        events=lookup.events(contact.key),
        namesakes=namesakes,
        first_namesakes=first_namesakes,
        foreign_lead=lookup.foreign_lead(contact.key),
        changed_ms=lookup.changed_ms(contact.key),
        versions=ledger.since_sent.versions(contact.key),
        conflict=ledger.since_sent.conflict(contact.hubspot_id),
        predecessors=ledger.since_sent.predecessors(contact.key),
        gone=lookup.absence(contact.key),
        edited=origin.edited,
    )


# As JSON


def as_json(report: ContactReport) -> dict[str, Any]:
    """
    The report as JSON values, under names that do not change. Times are ISO 8601, UTC.

        ledger     the file's path
        forgotten  when personal data was erased from the ledger; null = it was not
        found      how many contacts have the id or the e-mail
        contacts   the first five of them, the one that was or will be sent first:
            contact, state, held, detail, lead_id
            in_doubt               a send of it is in flight or in doubt
            source                 {property: value}, as HubSpot returned it
            company                {id, rule, properties}
            amended                values that a person entered in place of HubSpot's
            lead                   {field: value}, without the client_id
            made_up                [value that the mapping derived or cleaned]
            mapping                hash of the mapping that built the lead
            attempts               [{number, kind: create, update or delete, run, sent, ended,
                                   outcome, status, answer, settled, lead_id, fields, overrode}];
                                   outcome null = in flight or in doubt; fields: {field: value}
                                   of an update; overrode: what a person decided
            history                [{at, from, to, held}]; from null = first read
            same_email             {contacts, first: [{contact, state, held, lead_id}], lead}: other
                                   contacts; lead = one at LeadGenius that is not ours
            changed_after_posting  when HubSpot was last seen to change from what was posted
            changes                {field: {sent, now}}: what was sent, and HubSpot's value now;
                                   null = HubSpot has no usable lead any more
            conflict               {field: {sent, there, new}}: to be decided; there: as LeadGenius
                                   last listed it; null = nothing
            decided                {field: {there, value}}: what was decided of it; null = nothing
            merged_into, successor as in `gone`; predecessors: [contact] whose lead it has now
            gone                   {why: merged, archived or unknown, merged_into, successor: the
                                   contact that has its lead now}; null = HubSpot has it
            edited_after_verifying [field] of its verified lead
    """
    return {
        "ledger": report.ledger,
        "forgotten": iso(report.forgotten_ms),
        "found": report.found,
        "contacts": [_contact_json(history) for history in report.told],
    }


def _contact_json(history: ContactHistory) -> dict[str, Any]:
    company = {
        "id": history.company_id,
        "rule": history.company_rule,
        "properties": history.company,
    }
    return {
        **_summary_json(history.contact),
        "detail": history.contact.detail,
        "in_doubt": history.is_open,
        "source": dict(history.source),
        "company": company if history.company_id is not None else None,
        "amended": history.amended,
        "lead": history.lead,
        "made_up": list(history.made_up),
        "mapping": history.mapping,
        "attempts": [_attempt_json(attempt) for attempt in history.attempts],
        "history": [_event_json(event) for event in history.events],
        "same_email": {
            "contacts": history.namesakes,
            "first": [_summary_json(one) for one in history.first_namesakes],
            "lead": history.foreign_lead,
        },
        "changed_after_posting": iso(history.changed_ms),
        "changes": {} if history.versions is None else changes(history.versions),
        **_conflict_json(history.conflict),
        "merged_into": history.gone and history.gone.into,
        "successor": history.gone and history.gone.successor,
        "predecessors": list(history.predecessors),
        "gone": None if history.gone is None else _gone_json(history.gone),
        "edited_after_verifying": history.edited.split(", ") if history.edited else [],
    }


def _conflict_json(found: ConflictedContact | None) -> dict[str, Any]:
    if found is None:
        return {"conflict": None, "decided": None}
    return {"conflict": found.conflict, "decided": found.decided}


def _gone_json(gone: GoneContact) -> dict[str, Any]:
    return {"why": gone.why, "merged_into": gone.into, "successor": gone.successor}


def _summary_json(contact: ContactSummary) -> dict[str, Any]:
    return {
        "contact": contact.hubspot_id,
        "state": contact.state,
        "held": contact.held,
        "lead_id": contact.lead_id,
    }


def _attempt_json(attempt: SendAttempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "kind": str(attempt.kind),
        "run": attempt.run_id,
        "sent": iso(attempt.sent_ms),
        "ended": iso(attempt.ended_ms),
        "outcome": attempt.outcome,
        "status": attempt.status,
        "answer": attempt.answer,
        "settled": iso(attempt.settled_ms),
        "lead_id": attempt.lead_id,
        "fields": attempt.fields,
        "overrode": attempt.overrode,
    }


def _event_json(event: StateChange) -> dict[str, Any]:
    return {
        "at": iso(event.at_ms),
        "from": event.source,
        "to": event.target,
        "held": event.held,
    }
