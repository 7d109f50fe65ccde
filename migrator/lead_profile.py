"""
The profile of the leads that are ready to send: fill rates, longest values, what is worth a look.

`preflight`, `plan` and the HTML page show it. It is read in one pass over the contacts that may be
sent, and holds only numbers and a few examples, so its size does not depend on their number.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from migrator.ledger import LeadToProfile, Ledger
from migrator.mapping import Finding, Rules, findings
from migrator.text import count_noun, one_line, utc_time

EXAMPLES = 3
LONGEST_EXAMPLE = 80

# As a heading, and what it means.
FINDINGS = {
    Finding.ROLE_ADDRESS: ("role addresses", "read by a group, such as info@ and sales@"),
    Finding.TEST_RECORD: ("test records", "a name, address or company that looks like a test"),
    Finding.MADE_UP_NAME: ("made-up names", "missing in HubSpot: from the e-mail, or a dash"),
}


@dataclass(slots=True)
class FieldProfile:
    """
    The values of one field of the leads.

    Args:
        filled: Number of leads that have it.
        longest: Length of its longest value, in characters.
        longest_contact: HubSpot's id of the first contact with such a value; `None` = no lead has
            the field.
    """

    filled: int = 0
    longest: int = 0
    longest_contact: str | None = None


@dataclass
class FoundLeads:
    """Leads with one finding: their number, and the first ones as (HubSpot's id, value)."""

    contacts: int = 0
    first: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class LeadProfile:
    """
    The profile; `take` adds a lead.

    Args:
        fields: By name; those of the active mapping, in its order, then any others.
        contacts: Number of leads.
        oldest: When HubSpot last changed the contact that has not changed for the longest time
            (ms since the epoch), and its HubSpot id; `None` = no date is known.
    """

    fields: dict[str, FieldProfile]
    contacts: int = 0
    oldest: tuple[int, str] | None = None
    found: dict[Finding, FoundLeads] = field(
        default_factory=lambda: {one: FoundLeads() for one in Finding}
    )

    def take(self, contact: LeadToProfile) -> None:
        """Add a lead."""
        self.contacts += 1
        for name, value in contact.lead.items():
            if (profile := self.fields.get(name)) is None:
                profile = self.fields[name] = FieldProfile()
            profile.filled += 1
            if (length := len(value)) > profile.longest:
                profile.longest, profile.longest_contact = length, contact.hubspot_id
        if (at := contact.modified_ms) is not None and (not self.oldest or at < self.oldest[0]):
            self.oldest = (at, contact.hubspot_id)
        for finding, value in findings(contact.lead, contact.derived_fields):
            found = self.found[finding]
            found.contacts += 1
            if len(found.first) < EXAMPLES:
                found.first.append((contact.hubspot_id, value))

    def fill_rate(self, name: str) -> str:
        """The share of leads that have a field, rounded down: only all of them are 100%."""
        return f"{1000 * self.fields[name].filled // max(self.contacts, 1) / 10:.4g}%"


def read_profile(ledger: Ledger, rules: Rules) -> LeadProfile:
    """Profile the contacts that may be sent; `rules` is the active mapping."""
    profile = LeadProfile({one: FieldProfile() for one in _fields_of(rules)})
    with ledger.transaction():
        for contact in ledger.sendable.leads():
            profile.take(contact)
    return profile


def _fields_of(rules: Rules) -> Iterable[str]:
    return dict.fromkeys((*rules.fields, *rules.constants, "notes"))


def profile_json(profile: LeadProfile) -> dict[str, Any]:
    """
    The profile as JSON values, under names that do not change.

        contacts        leads that are ready to send
        fields          {field: {filled, longest, longest_contact}}; lengths in characters
        role_address, test_record, made_up_name
                        {contacts, first: [{contact, value}]}
        oldest_change   {at, contact}; null = no date is known
    """
    oldest = profile.oldest
    return {
        "contacts": profile.contacts,
        "fields": {name: asdict(one) for name, one in profile.fields.items()},
        **{str(finding): _found_json(one) for finding, one in profile.found.items()},
        "oldest_change": oldest and {"at": utc_time(oldest[0] / 1000), "contact": oldest[1]},
    }


def _found_json(found: FoundLeads) -> dict[str, Any]:
    first = [{"contact": hubspot_id, "value": value} for hubspot_id, value in found.first]
    return {"contacts": found.contacts, "first": first}


def profile_lines(profile: LeadProfile) -> Iterator[tuple[str, str]]:
    """The findings and the oldest change, each with its name, for people."""
    for finding, found in profile.found.items():
        name, meaning = FINDINGS[finding]
        if not found.contacts:
            yield name, "none"
            continue
        yield name, f"{count_noun(found.contacts, 'contact')} ({meaning}): {_examples(found)}"
    if profile.oldest is not None:
        at, contact = profile.oldest
        yield "oldest change", f"{utc_time(at / 1000)}: contact {_shown(contact)}"


def _examples(found: FoundLeads) -> str:
    shown = ", ".join(
        f"{_shown(value)} (contact {_shown(contact)})" for contact, value in found.first
    )
    return f"{shown}, …" if found.contacts > len(found.first) else shown


def _shown(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= LONGEST_EXAMPLE else f"{line[: LONGEST_EXAMPLE - 1]}…"
