"""
The first verb: every contact out of HubSpot into the ledger, and mapped to its lead.

A page, its companies and the cursor behind it are one transaction, so a crash repeats at most one
page, harmlessly. A second run brings what is new or changed and never touches what was posted. A
changed mapping maps anew what is not posted, as a changed contact does.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from migrator.errors import Declined, Forbidden, NotFound, Unauthorized
from migrator.hubspot import ContactPage, HubSpot
from migrator.ledger import Built, Checkpoint, Extracted, Known, Ledger, Page, Rejected, ToMap
from migrator.mapping import Excluded, Rules, choose_company, overlay, to_lead
from migrator.rulebook import Rulebook, rules_in_force, take_up
from migrator.states import Hold, State

MAPPED_AT_ONCE = 500
EXAMPLES = 3

# The counters and, once HubSpot has given all, `total`: how many contacts are there to be mapped.
Notice = Callable[[Mapping[str, int]], None]


@dataclass
class Counters:
    """
    What a run did, in contacts; `pages` in pages.

    Args:
        withdrawn: Built by another mapping.
        ineffective: Amended, and mapped as they would be without that.
        ineffective_examples: HubSpot's ids of the first of these.
    """

    withdrawn: int = 0
    pages: int = 0
    given: int = 0
    new: int = 0
    changed: int = 0
    stale: int = 0
    mapped: int = 0
    rejected: int = 0
    freed: int = 0
    ineffective: int = 0
    ineffective_examples: list[str] = field(default_factory=list)

    def numbers(self) -> dict[str, int]:
        """Those that count."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}


def stage(
    ledger: Ledger,
    hubspot: HubSpot,
    *,
    portal_id: str,
    rules: Rules | None = None,
    check: Callable[[], None] = lambda: None,
    notice: Notice = lambda counters: None,
    note: Notice = lambda counters: None,
) -> Counters:
    """
    Extract every page that is left of the sweep, then map what is extracted.

    Args:
        portal_id: The portal, for the line that tells a lead's contact (design, I4).
        rules: The mapping to put in force; `None` = the one that is.
        check: Called between pages; raises when the user wants to stop.
        notice: Called with the counters after each step, for a person to watch.
        note: Called with them in the transaction of each step, to be kept with it.
    """
    counters = Counters()
    book, counters.withdrawn = take_up(ledger, rules, check)
    _extract(ledger, hubspot, portal_id, book, counters, check, notice, note)
    _map(ledger, portal_id, book.rules, counters, check, notice, note)
    return counters


def _extract(
    ledger: Ledger,
    hubspot: HubSpot,
    portal_id: str,
    book: Rulebook,
    counters: Counters,
    check: Callable[[], None],
    notice: Notice,
    note: Notice,
) -> None:
    checkpoint = ledger.journey.checkpoint("extraction")
    if checkpoint.complete:
        checkpoint = ledger.journey.begin_sweep("extraction")
    for page in ahead(_pages(hubspot, book, checkpoint)):
        companies, fresh = _companies(ledger, hubspot, book, page, checkpoint.sweep)
        sorted_page = _sort(ledger, page, companies, fresh, portal_id, book)
        counters.pages += 1
        counters.given += len(page.contacts)
        counters.new += len(sorted_page.new)
        counters.changed += len(sorted_page.changed)
        counters.stale += len(sorted_page.stale)
        with ledger.transaction():
            ledger.contacts.write_page(sorted_page, checkpoint.sweep)
            note(counters.numbers())
        notice(counters.numbers())
        check()


def _pages(hubspot: HubSpot, book: Rulebook, checkpoint: Checkpoint) -> Iterator[ContactPage]:
    """The pages of the sweep that are left; from the first one if HubSpot forgot the cursor."""
    pages = hubspot.pages(book.contact_properties, checkpoint.cursor)
    try:
        first = next(pages)
    except (Unauthorized, Forbidden, NotFound):
        raise
    except Declined:
        if checkpoint.cursor is None:
            raise
        # A cursor may grow old. What was read before is read again, and changes nothing.
        pages = hubspot.pages(book.contact_properties, None)
        first = next(pages)
    yield first
    yield from pages


def ahead(items: Iterator[ContactPage]) -> Iterator[ContactPage]:
    """Each item, while the next one is fetched already."""
    with ThreadPoolExecutor(1, thread_name_prefix="fetch") as fetcher:
        coming = fetcher.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = fetcher.submit(next, items, None)
            yield item


Companies = Mapping[str, str | None]


def _companies(
    ledger: Ledger, hubspot: HubSpot, book: Rulebook, page: ContactPage, sweep: int
) -> tuple[Companies, Companies]:
    """All companies of a page, and those of them that had to be fetched; JSON by id."""
    wanted = {choose_company(contact).company_id for contact in page.contacts} - {None}
    have = ledger.contacts.companies([one for one in wanted if one], sweep)
    lacking = sorted(one for one in wanted if one and one not in have)
    fetched = hubspot.companies(lacking, book.company_properties) if lacking else {}
    fresh = {
        company_id: None if properties is None else _json(_known_values(properties))
        for company_id, properties in fetched.items()
    }
    return {**have, **fresh}, fresh


def _sort(
    ledger: Ledger,
    page: ContactPage,
    companies: Companies,
    fresh: Companies,
    portal_id: str,
    book: Rulebook,
) -> Page:
    """What each contact of a page means for the ledger."""
    contacts = {contact["id"]: contact for contact in page.contacts}
    known = ledger.contacts.known(contacts)
    new, stale, current = [], [], []
    changed: list[Extracted] = []
    waiting: list[Extracted] = []
    for hubspot_id, contact in contacts.items():
        extracted = _extracted(contact, book.contact_properties)
        have = known.get(hubspot_id)
        if have is None:
            new.append(extracted)
        elif have.state is State.EXTRACTED:
            if (have.source, have.company_id) != (extracted.source, extracted.company_id):
                # One that waits may differ only because another mapping reads more of it.
                (waiting if have.mapping is None else changed).append(extracted)
        # By the rules that built it: other ones are no change in HubSpot.
        elif _lead(extracted, companies, have, portal_id, book) == have.lead:
            current.append(hubspot_id)
        elif _may_change(have):
            changed.append(extracted)
        else:
            stale.append(hubspot_id)
    return Page(fresh, new, changed, stale, current, page.after, waiting)


def _may_change(known: Known) -> bool:
    """Whether nothing of it left yet: neither posted nor possibly on its way."""
    return known.state is State.MAPPED and not known.is_open


def _extracted(contact: Mapping[str, Any], names: Sequence[str]) -> Extracted:
    choice = choose_company(contact)
    properties = contact.get("properties")
    wanted = properties if isinstance(properties, dict) else {}
    source = {
        "id": contact["id"],
        "properties": _known_values({name: wanted.get(name) for name in names}),
    }
    return Extracted(contact["id"], _json(source), choice.company_id, choice.rule)


def _lead(
    extracted: Extracted, companies: Companies, have: Known, portal_id: str, book: Rulebook
) -> str | None:
    company = companies.get(extracted.company_id or "")
    texts = (extracted.source, company or "null", have.amended or "null")
    result = to_lead(*overlay(*map(json.loads, texts)), portal_id, book.of(have.mapping))
    return None if isinstance(result, Excluded) else _json(result.lead)


def map_extracted(
    ledger: Ledger, portal_id: str, check: Callable[[], None] = lambda: None
) -> Counters:
    """Map what is extracted, without a look at HubSpot; see `stage`."""
    counters = Counters()
    rules = rules_in_force(ledger)
    _map(ledger, portal_id, rules, counters, check, _nobody, _nobody)
    return counters


def _nobody(counters: Mapping[str, int]) -> None:
    """Nobody watches, and nothing is kept."""


def _map(
    ledger: Ledger,
    portal_id: str,
    rules: Rules,
    counters: Counters,
    check: Callable[[], None],
    notice: Notice,
    note: Notice,
) -> None:
    total = ledger.figures.to_map()
    while batch := ledger.contacts.to_map(MAPPED_AT_ONCE):
        built, rejected, ineffective = _map_batch(ledger, batch, portal_id, rules)
        counters.ineffective += len(ineffective)
        counters.ineffective_examples += ineffective[
            : EXAMPLES - len(counters.ineffective_examples)
        ]
        counters.mapped += len(built)
        counters.rejected += len(rejected)
        told = {**counters.numbers(), "total": total}
        with ledger.transaction():
            ledger.contacts.write_mapped(built, rejected)
            note(told)
        notice(told)
        check()
    counters.freed = ledger.contacts.free_widowed_duplicates()


def _map_batch(
    ledger: Ledger, batch: Sequence[ToMap], portal_id: str, rules: Rules
) -> tuple[list[Built], list[Rejected], list[str]]:
    """What becomes of each, and HubSpot's ids of those whose amendment changes nothing of it."""
    built, rejected, ineffective = [], [], []
    for contact in batch:
        texts = (contact.source, contact.company or "null", contact.amended or "null")
        source, company, amended = map(ledger.decoded, texts)
        result = to_lead(*overlay(source, company, amended), portal_id, rules)
        if amended and to_lead(source, company, portal_id, rules) == result:
            ineffective.append(str(source["id"]))
        if isinstance(result, Excluded):
            rejected.append(Rejected(contact.key, Hold(result.reason), result.detail))
        else:
            made_up = ",".join(result.made_up) or None
            built.append(Built(contact.key, _json(result.lead), result.email_key, made_up))
    return built, rejected, ineffective


def _known_values(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Without what HubSpot does not know; the ledger has a million of these."""
    return {name: value for name, value in properties.items() if value is not None}


def _json(value: Any) -> str:
    """The same text for the same value, so that texts can be compared."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair: JSON can hold it, UTF-8 and so SQLite cannot.
        return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return text
