"""Stories for machines, under names that stay as they are. It shows nothing."""

from typing import Any

from migrator.ledger import ContactSummary, SendAttempt, StateChange
from migrator.report.story.facts import ContactHistory, ContactReport
from migrator.report.summary import iso


def as_json(stories: ContactReport) -> dict[str, Any]:
    """
    The stories as values that JSON can hold. Times are ISO 8601, UTC; null = not known, or none.

        ledger     the file's path
        forgotten  when the people were taken out of the ledger; null = it knows them
        found      how many contacts have the id or the e-mail
        contacts   of the first five of them, the one that was sent or is to be sent first:
            contact, state, held, detail, lead_id
            in_doubt               a send of it is in flight or in doubt
            source                 {property: value}, as HubSpot gave it
            company                {id, rule, properties}
            amended                what a person put in the place of HubSpot's values
            lead                   {field: value}, without the client_id
            made_up                [what the mapping had to make up]
            mapping                hash of the mapping that built the lead
            attempts               [{number, run, sent, ended, outcome, status, answer, settled,
                                   lead_id}]; outcome null = in flight or in doubt
            history                [{at, from, to, held}]; from null = born
            same_email             {contacts, first: [{contact, state, held, lead_id}], lead}: other
                                   contacts; lead = one at LeadGenius that is not ours
            changed_after_posting  when HubSpot was seen to differ from what was posted
            edited_after_verifying [field]: of its verified lead, those that differ since
    """
    return {
        "ledger": stories.ledger,
        "forgotten": _time(stories.forgotten_ms),
        "found": stories.found,
        "contacts": [_story(story) for story in stories.told],
    }


def _story(story: ContactHistory) -> dict[str, Any]:
    company = {
        "id": story.company_id,
        "rule": story.company_rule,
        "properties": story.company,
    }
    return {
        **_brief(story.contact),
        "detail": story.contact.detail,
        "in_doubt": story.is_open,
        "source": dict(story.source),
        "company": company if story.company_id is not None else None,
        "amended": story.amended,
        "lead": story.lead,
        "made_up": list(story.made_up),
        "mapping": story.mapping,
        "attempts": [_attempt(attempt) for attempt in story.attempts],
        "history": [_event(event) for event in story.events],
        "same_email": {
            "contacts": story.namesakes,
            "first": [_brief(one) for one in story.first_namesakes],
            "lead": story.foreign_lead,
        },
        "changed_after_posting": _time(story.changed_ms),
        "edited_after_verifying": story.edited.split(", ") if story.edited else [],
    }


def _brief(contact: ContactSummary) -> dict[str, Any]:
    return {
        "contact": contact.hubspot_id,
        "state": contact.state,
        "held": contact.held,
        "lead_id": contact.lead_id,
    }


def _attempt(attempt: SendAttempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "run": attempt.run_id,
        "sent": _time(attempt.sent_ms),
        "ended": _time(attempt.ended_ms),
        "outcome": attempt.outcome,
        "status": attempt.status,
        "answer": attempt.answer,
        "settled": _time(attempt.settled_ms),
        "lead_id": attempt.lead_id,
    }


def _event(event: StateChange) -> dict[str, Any]:
    return {
        "at": _time(event.at_ms),
        "from": event.source,
        "to": event.target,
        "held": event.held,
    }


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else iso(milliseconds)
