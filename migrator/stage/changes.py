"""Compares contacts from HubSpot with the ledger: new, changed, changed since sent or unchanged."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from migrator.canonical_json import canonical_json
from migrator.hubspot_responses import MERGED_IDS, merged_ids
from migrator.ledger import ChangedLead, ExtractedContact, ExtractedPage, Ledger, StoredContact
from migrator.mapping import Exclusion, overlay, to_lead
from migrator.mapping_versions import MappingSet
from migrator.stage.prefetch import PageBatch
from migrator.states import Hold, State


def sort(
    ledger: Ledger, batch: PageBatch, scan: int, portal_id: str, mappings: MappingSet
) -> ExtractedPage:
    """
    Sort the contacts of a batch for `write_page`.

    Once mapped, a contact counts as changed only if its lead would differ by the mapping that built
    it; if the lead may have been sent already, it is changed since sent. A contact that was gone
    and has no lead is mapped anew.
    """
    contacts = {contact.hubspot_id: contact for contact in batch.contacts}
    known = ledger.contacts.stored(contacts)
    companies = _companies(ledger, batch, contacts, known, scan)
    new, current, unchanged = [], [], []
    changed: list[ExtractedContact] = []
    waiting: list[ExtractedContact] = []
    since_sent: list[ChangedLead] = []
    refreshed: list[ExtractedContact] = []
    for hubspot_id, extracted in contacts.items():
        have = known.get(hubspot_id)
        if have is None:
            new.append(extracted)
        elif have.is_erased:
            unchanged.append(hubspot_id)
        elif have.is_gone and have.scan == scan:
            # A record of this scan was made of it; the list does not know that yet.
            unchanged.append(hubspot_id)
        elif have.state is State.EXTRACTED:
            if (
                have.is_gone
                or _differs(extracted, have)
                or (_is_excluded(have) and _lead(extracted, companies, have, portal_id, mappings))
            ):
                # Without a mapping, it may differ only because a new mapping reads more of it.
                (waiting if have.mapping is None else changed).append(extracted)
            else:
                unchanged.append(hubspot_id)
        elif have.is_gone and _may_change(have):
            changed.append(extracted)
        elif (lead := _lead(extracted, companies, have, portal_id, mappings)) == have.lead:
            current.append(hubspot_id)
            if _differs(extracted, have):
                refreshed.append(extracted)
        elif _may_change(have):
            changed.append(extracted)
        else:
            since_sent.append(ChangedLead(extracted, lead))
    return ExtractedPage(
        companies=batch.companies,
        new=new,
        changed=changed,
        changed_since_sent=since_sent,
        current=current,
        cursor=batch.cursor,
        waiting=waiting,
        unchanged=unchanged,
        refreshed=refreshed,
        equal_again=[one for one in current if known[one].is_changed],
        back=[
            one
            for one, have in known.items()
            if have.is_gone and have.scan != scan and not have.is_erased
        ],
        merged=_merged(contacts),
        modified={one: at for one in known if (at := contacts[one].modified_ms) is not None},
        erased=sum(have.is_erased for have in known.values()),
        count=batch.pages,
        odd=len(batch.odd),
    )


def _differs(extracted: ExtractedContact, have: StoredContact) -> bool:
    return (have.source, have.company_id) != (extracted.source, extracted.company_id)


def _merged(contacts: Mapping[str, ExtractedContact]) -> dict[str, Sequence[str]]:
    """The ids of the records that were merged into a contact, by its id."""
    return {
        hubspot_id: merged_ids(json.loads(one.source)["properties"])
        for hubspot_id, one in contacts.items()
        if MERGED_IDS in one.source
    }


def _companies(
    ledger: Ledger,
    batch: PageBatch,
    contacts: Mapping[str, ExtractedContact],
    known: Mapping[str, StoredContact],
    scan: int,
) -> Mapping[str, Any]:
    """The companies of the contacts that have been mapped or excluded."""
    wanted = {
        contacts[hubspot_id].company_id
        for hubspot_id, have in known.items()
        if have.state is not State.EXTRACTED or _is_excluded(have)
    }
    fresh = {one: text for one, text in batch.companies.items() if one in wanted}
    others = [one for one in wanted if one and one not in fresh]
    stored = ledger.contacts.companies(others, scan) if others else {}
    return stored | {one: None if text is None else json.loads(text) for one, text in fresh.items()}


def _is_excluded(known: StoredContact) -> bool:
    """Whether the rules excluded it; their e-mail may be a property of the company."""
    return known.state is State.EXTRACTED and known.mapping is not None


def _may_change(known: StoredContact) -> bool:
    """Whether it may be mapped anew: neither posted nor in doubt, nor taken back by a person."""
    return known.state is State.MAPPED and not known.is_open and known.held is not Hold.UNDONE


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
