"""Compares contacts from HubSpot with the ledger: new, changed, stale or unchanged."""

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
    ledger: Ledger, batch: PageBatch, scan: int, portal_id: str, mappings: MappingSet
) -> ExtractedPage:
    """
    Sort the contacts of a batch for `write_page`.

    Once mapped, a contact counts as changed only if its lead would differ by the mapping that built
    it. If the lead may have been sent already, the contact is stale instead of changed.
    """
    contacts = {contact.hubspot_id: contact for contact in batch.contacts}
    known = ledger.contacts.stored(contacts)
    companies = _companies(ledger, batch, contacts, known, scan)
    new, stale, current, unchanged = [], [], [], []
    changed: list[ExtractedContact] = []
    waiting: list[ExtractedContact] = []
    for hubspot_id, extracted in contacts.items():
        have = known.get(hubspot_id)
        if have is None:
            new.append(extracted)
        elif have.state is State.EXTRACTED:
            if (have.source, have.company_id) != (extracted.source, extracted.company_id):
                # Without a mapping, it may differ only because a new mapping reads more of it.
                (waiting if have.mapping is None else changed).append(extracted)
            else:
                unchanged.append(hubspot_id)
        elif _lead(extracted, companies, have, portal_id, mappings) == have.lead:
            current.append(hubspot_id)
        elif _may_change(have):
            changed.append(extracted)
        else:
            stale.append(hubspot_id)
    sorted_ones = (new, changed, stale, current)
    more = (batch.pages, len(batch.odd))
    return ExtractedPage(batch.companies, *sorted_ones, batch.cursor, waiting, unchanged, *more)


def _companies(
    ledger: Ledger,
    batch: PageBatch,
    contacts: Mapping[str, ExtractedContact],
    known: Mapping[str, StoredContact],
    scan: int,
) -> Mapping[str, Any]:
    """The companies of the contacts that have been mapped."""
    wanted = {
        contacts[hubspot_id].company_id
        for hubspot_id, have in known.items()
        if have.state is not State.EXTRACTED
    }
    fresh = {one: text for one, text in batch.companies.items() if one in wanted}
    others = [one for one in wanted if one and one not in fresh]
    stored = ledger.contacts.companies(others, scan) if others else {}
    return stored | {one: None if text is None else json.loads(text) for one, text in fresh.items()}


def _may_change(known: StoredContact) -> bool:
    """Whether its lead was certainly not sent: neither posted nor in doubt."""
    return known.state is State.MAPPED and not known.is_open


def _lead(
    extracted: ExtractedContact,
    companies: Mapping[str, Any],
    have: StoredContact,
    portal_id: str,
    mappings: MappingSet,
) -> str | None:
    """The lead that the contact would have now, by the mapping that built the stored one."""
    company = companies.get(extracted.company_id or "")
    counts = overlay(json.loads(extracted.source), company, have.amended)
    result = to_lead(*counts, portal_id, mappings.of(have.mapping))
    return None if isinstance(result, Exclusion) else canonical_json(result.lead)
