"""What each contact that HubSpot gave means for the ledger: new, changed, or as it was."""

import json
from collections.abc import Mapping
from typing import Any

from migrator.canonical_json import canonical_json
from migrator.ledger import ExtractedContact, ExtractedPage, Ledger, StoredContact
from migrator.mapping import Exclusion, overlay, to_lead
from migrator.mapping_versions import MappingSet
from migrator.stage.prefetch import PageBatch
from migrator.states import State


def sort(
    ledger: Ledger, stretch: PageBatch, sweep: int, portal_id: str, mappings: MappingSet
) -> ExtractedPage:
    """What each contact of a stretch means for the ledger."""
    contacts = {contact.hubspot_id: contact for contact in stretch.contacts}
    known = ledger.contacts.stored(contacts)
    companies = _companies(ledger, stretch, contacts, known, sweep)
    new, stale, current, unchanged = [], [], [], []
    changed: list[ExtractedContact] = []
    waiting: list[ExtractedContact] = []
    for hubspot_id, extracted in contacts.items():
        have = known.get(hubspot_id)
        if have is None:
            new.append(extracted)
        elif have.state is State.EXTRACTED:
            if (have.source, have.company_id) != (extracted.source, extracted.company_id):
                # One that waits may differ only because another mapping reads more of it.
                (waiting if have.mapping is None else changed).append(extracted)
            else:
                unchanged.append(hubspot_id)
        # By the rules that built it: other ones are no change in HubSpot.
        elif _lead(extracted, companies, have, portal_id, mappings) == have.lead:
            current.append(hubspot_id)
        elif _may_change(have):
            changed.append(extracted)
        else:
            stale.append(hubspot_id)
    sorted_ones = (new, changed, stale, current)
    more = (stretch.pages, len(stretch.odd))
    return ExtractedPage(stretch.companies, *sorted_ones, stretch.cursor, waiting, unchanged, *more)


def _companies(
    ledger: Ledger,
    stretch: PageBatch,
    contacts: Mapping[str, ExtractedContact],
    known: Mapping[str, StoredContact],
    sweep: int,
) -> Mapping[str, Any]:
    """The companies of those contacts that have a lead to compare with."""
    wanted = {
        contacts[hubspot_id].company_id
        for hubspot_id, have in known.items()
        if have.state is not State.EXTRACTED
    }
    fresh = {one: text for one, text in stretch.companies.items() if one in wanted}
    others = [one for one in wanted if one and one not in fresh]
    stored = ledger.contacts.companies(others, sweep) if others else {}
    return stored | {one: None if text is None else json.loads(text) for one, text in fresh.items()}


def _may_change(known: StoredContact) -> bool:
    """Whether nothing of it left yet: neither posted nor possibly on its way."""
    return known.state is State.MAPPED and not known.is_open


def _lead(
    extracted: ExtractedContact,
    companies: Mapping[str, Any],
    have: StoredContact,
    portal_id: str,
    mappings: MappingSet,
) -> str | None:
    company = companies.get(extracted.company_id or "")
    counts = overlay(json.loads(extracted.source), company, have.amended)
    result = to_lead(*counts, portal_id, mappings.of(have.mapping))
    return None if isinstance(result, Exclusion) else canonical_json(result.lead)
