"""
What the ledger knows of the contacts that a person names, as plain data.

Texts are as the services gave them; whoever shows them makes them fit to be shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.ledger import ContactSummary, Ledger, Run, SendAttempt, StateChange
from migrator.report.facts import gather
from migrator.report.find import find_contacts

# So many contacts with one e-mail are told of, and so many namesakes are named.
MOST_STORIES = 5
MOST_NAMESAKES = 5


@dataclass(frozen=True)
class ContactHistory:
    """
    One contact.

    Args:
        contact: Where it stands.
        source: What HubSpot gave, as far as the mapping reads it.
        company_id, company_rule, company: The company that counts, which rule chose it, and its
            properties; `company=None` = HubSpot does not give it, or there is none.
        amended: What a person put in the place of HubSpot's values; `None` = nothing.
        lead: As it is or would be sent, without the client_id; `None` = not mapped.
        made_up: What the mapping had to make up.
        mapping: Hash of the mapping that built the lead; `None` = from before they were kept.
        attempts, events: Each send and each move, first one first.
        namesakes, first_namesakes: Other contacts with its e-mail: how many, and the first.
        foreign_lead: The id of a lead with its e-mail that is not ours.
        changed_ms: When HubSpot was seen to differ from what was posted.
        edited: Fields of its verified lead that differ since; `None` = none.
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
    edited: str | None

    @property
    def is_open(self) -> bool:
        """Whether a send of it is in flight or in doubt."""
        return bool(self.attempts) and self.attempts[-1].outcome is None


@dataclass(frozen=True)
class ContactReport:
    """
    The contacts that a name stands for.

    Args:
        found: How many there are; `told` are the first of them.
        running: The run that is at work now.
        forgotten_ms: When the people were taken out of the ledger; `None` = it knows them.
    """

    ledger: str
    found: int
    told: Sequence[ContactHistory]
    running: Run | None
    forgotten_ms: int | None


def tell_of(ledger: Ledger, named: str) -> ContactReport:
    """
    Read all that is known of the contacts that a person names.

    Raises:
        UsageError: there is none.
    """
    # Before the snapshot: whether a run is alive is asked of its lock.
    report = gather(ledger)
    with ledger.transaction():
        keys = find_contacts(ledger, named)
        return ContactReport(
            ledger=report.ledger,
            found=len(keys),
            told=tuple(_story(ledger, one) for one in ledger.lookup.summaries(keys[:MOST_STORIES])),
            running=report.running,
            forgotten_ms=report.forgotten_ms,
        )


def _story(ledger: Ledger, contact: ContactSummary) -> ContactHistory:
    stories, origin = ledger.lookup, ledger.lookup.provenance(contact.key)
    namesakes, first_namesakes = stories.same_email(contact.key, MOST_NAMESAKES)

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
        attempts=stories.attempts(contact.key),
        events=stories.events(contact.key),
        namesakes=namesakes,
        first_namesakes=first_namesakes,
        foreign_lead=stories.foreign_lead(contact.key),
        changed_ms=stories.changed_ms(contact.key),
        edited=origin.edited,
    )
