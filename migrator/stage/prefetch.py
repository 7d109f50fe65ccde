"""
HubSpot's pages with their companies, read ahead of whoever writes them.

A page is known only from the one before it, so one thread reads them, one after the other; that
chain is what a stage has to wait for. Companies are read beside it, in full batches, which pages
that follow each other fill together. A page is handed over once all its companies are there. What
waits is bounded. Nothing is written here, and nobody decides here what a contact means.
"""

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from migrator.canonical_json import canonical_json, without_nulls
from migrator.errors import Declined, Forbidden, NotFound, Unauthorized
from migrator.hubspot import COMPANIES_PER_BATCH, ContactPage, HubSpot
from migrator.ledger import ExtractedContact
from migrator.mapping import CompanyChoice, choose_company
from migrator.mapping_versions import MappingSet

PAGES_AHEAD = 3
# So many pages wait for their companies at the most, and are read again after a crash.
LONGEST_STRETCH = 20
READERS = 3
# A page that is not there by then may be long in coming: what waits is not to wait for it.
STALLED_AFTER_SECONDS = 2.0

# JSON by id; `None` = HubSpot does not give it.
Companies = Mapping[str, str | None]


@dataclass(frozen=True)
class PageBatch:
    """
    Pages that follow each other.

    Args:
        contacts: In HubSpot's order; one that moved meanwhile may come twice.
        companies: Those that were read since the stretch before; the ledger has all others.
        cursor: Where the sweep goes on; `None` = this was the last page.
        last_asked: The cursor that its last page was asked for with; `None` = the first page.
        odd: The rows of its pages that are no contacts with an id, in words.
    """

    contacts: Sequence[ExtractedContact]
    companies: Companies
    pages: int
    cursor: str | None
    last_asked: str | None
    odd: Sequence[str]


def page_batches(
    hubspot: HubSpot,
    mappings: MappingSet,
    after: str | None,
    stored: Callable[[Collection[str]], Mapping[str, Any]],
    check: Callable[[], None],
    *,
    is_end_again: bool = False,
) -> Generator[PageBatch, None, None]:
    """
    The rest of a sweep. Each stretch is to be written before the next one is asked for.

    Args:
        after: The cursor to begin at; `None` = the first page.
        stored: Gives those of some companies that the ledger has of this sweep.
        check: Called after a page that only waits; raises when the user wants to stop.
        is_end_again: Whether the first of these pages was read before, as the last one; its odd
            rows are not counted twice.
    """
    with (
        _threads(READERS, "companies") as readers,
        closing(_ahead(_pages(hubspot, mappings, after, is_end_again))) as pages,
    ):
        failures: list[BaseException] = []

        def read(company_ids: Sequence[str]) -> Companies:
            if failures:  # those behind it would only wait as long once more
                raise failures[0]
            try:
                return _companies(hubspot, mappings, company_ids)
            except BaseException as error:
                failures.append(error)
                raise

        def ask(company_ids: Sequence[str]) -> "Future[Companies]":
            return readers.submit(read, company_ids)

        yield from _stretches(pages, mappings, CompanyLoader(ask, stored), check)


def _stretches(
    pages: "Iterator[Future[ContactPage | None]]",
    mappings: MappingSet,
    batches: "CompanyLoader",
    check: Callable[[], None],
) -> Iterator[PageBatch]:
    waiting: deque[PendingPage] = deque()
    for coming in pages:
        if not wait([coming], STALLED_AFTER_SECONDS).done:
            yield from _complete(waiting, mappings, batches, are_all=True)
        page = None if coming.exception() else coming.result()
        if page is None:
            break
        waiting.append(PendingPage(page, batches))
        yield from _complete(waiting, mappings, batches, are_all=len(waiting) >= LONGEST_STRETCH)
        if waiting:
            check()
    # What was read before is kept, whatever became of this one.
    yield from _complete(waiting, mappings, batches, are_all=True)
    coming.result()


class PendingPage:
    """A page that waits for the companies that its contacts have chosen."""

    def __init__(self, page: ContactPage, batches: "CompanyLoader") -> None:
        self.page = page
        self._batches = batches
        self._choose()

    def _choose(self) -> None:
        gone = self._batches.gone
        self._known_as_gone = len(gone)
        self._choices = [choose_company(contact, gone) for contact in self.page.contacts]
        wanted = {one.company_id for one in self._choices if one.company_id}
        self._needs = self._batches.want(wanted)

    def is_complete(self) -> bool:
        """Whether they all came. Where one turned out to be gone, the next choice has to come."""
        if self._needs <= self._batches.received and self._known_as_gone < len(self._batches.gone):
            self._choose()
        return self._needs <= self._batches.received

    def extracted(self, names: Sequence[str]) -> list[ExtractedContact]:
        """Its contacts, each with its company."""
        chosen = zip(self.page.contacts, self._choices, strict=True)
        return [_extracted(contact, choice, names) for contact, choice in chosen]


def _complete(
    waiting: deque[PendingPage], mappings: MappingSet, batches: "CompanyLoader", *, are_all: bool
) -> Iterator[PageBatch]:
    """The pages whose companies are there; if all are to be, they are waited for."""
    while True:
        if are_all:
            batches.ask_the_rest()
        # One after the other: pages that are complete are kept, whatever becomes of the next one.
        is_more = batches.receive(waits=are_all)
        complete = []
        while waiting and waiting[0].is_complete():
            complete.append(waiting.popleft())
        if complete:
            yield _stretch(complete, mappings, batches)
        if not is_more and not (are_all and waiting):
            return


def _stretch(
    complete: Sequence[PendingPage], mappings: MappingSet, batches: "CompanyLoader"
) -> PageBatch:
    pages = [one.page for one in complete]
    return PageBatch(
        [contact for one in complete for contact in one.extracted(mappings.contact_properties)],
        batches.take(),
        len(pages),
        pages[-1].after,
        pages[-1].asked,
        [words for page in pages for words in page.odd],
    )


class CompanyLoader:
    """
    Companies on their way into the ledger: each is asked for once, in the order of the pages.

    Args:
        ask: Reads companies in another thread.
        stored: See `page_batches`.

    Attributes:
        received: How many came so far.
        gone: Those that turned out to be gone.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[str]], "Future[Companies]"],
        stored: Callable[[Collection[str]], Mapping[str, Any]],
    ) -> None:
        self._ask = ask
        self._stored = stored
        self._wanted = 0
        # Each with the number that must have come for it to be there.
        self._on_their_way: dict[str, int] = {}
        self._unasked: list[str] = []
        self._asked: deque[Future[Companies]] = deque()
        self._fresh: dict[str, str | None] = {}
        self.received = 0
        self.gone: set[str] = set()

    def want(self, company_ids: Collection[str]) -> int:
        """Have these read; returns how many must have come for all of them to be there."""
        others = [one for one in company_ids if one not in self._on_their_way]
        here = self._stored(others) if others else {}
        self._note_gone(here)
        for one in sorted(set(others) - here.keys()):
            self._wanted += 1
            self._on_their_way[one] = self._wanted
            self._unasked.append(one)
        while len(self._unasked) >= COMPANIES_PER_BATCH:
            self._ask_next()
        return max((self._on_their_way.get(one, 0) for one in company_ids), default=0)

    def _note_gone(self, companies: Mapping[str, Any]) -> None:
        self.gone.update(one for one, given in companies.items() if given is None)

    def _ask_next(self) -> None:
        batch, self._unasked = (
            self._unasked[:COMPANIES_PER_BATCH],
            self._unasked[COMPANIES_PER_BATCH:],
        )
        self._asked.append(self._ask(batch))

    def ask_the_rest(self) -> None:
        """Wait for no further page to fill a batch."""
        if self._unasked:
            self._ask_next()

    def receive(self, *, waits: bool) -> bool:
        """Take in the next batch, if it came or is to be waited for; whether there was one."""
        if not self._asked or not (waits or self._asked[0].done()):
            return False
        batch = self._asked.popleft().result()
        self._fresh.update(batch)
        self._note_gone(batch)
        self.received += len(batch)
        return True

    def take(self) -> Companies:
        """What came since the last time; from now on the ledger has it."""
        taken, self._fresh = self._fresh, {}
        for one in taken:
            del self._on_their_way[one]
        return taken


def _pages(
    hubspot: HubSpot, mappings: MappingSet, after: str | None, is_end_again: bool
) -> Iterator[ContactPage]:
    """The pages of the sweep that are left; from the first one if HubSpot forgot the cursor."""
    pages = hubspot.pages(mappings.contact_properties, after)
    try:
        first = next(pages)
    except (Unauthorized, Forbidden, NotFound):
        raise
    except Declined:
        if after is None:
            raise
        # A cursor may grow old. What was read before is read again, and changes nothing.
        pages = hubspot.pages(mappings.contact_properties, None)
        first = next(pages)
    yield replace(first, odd=()) if is_end_again else first
    yield from pages


def _ahead(
    items: Iterator[ContactPage],
) -> "Generator[Future[ContactPage | None], None, None]":
    """Each item, while the next ones are fetched already; behind the last one `None` comes."""
    with _threads(1, "fetch") as fetcher:
        coming = deque(fetcher.submit(next, items, None) for _ in range(PAGES_AHEAD))
        while True:
            coming.append(fetcher.submit(next, items, None))
            yield coming.popleft()


@contextmanager
def _threads(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Some threads; at the end what they have begun is waited for, and the rest given up."""
    pool = ThreadPoolExecutor(count, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _companies(hubspot: HubSpot, mappings: MappingSet, company_ids: Sequence[str]) -> Companies:
    fetched = hubspot.companies(company_ids, mappings.company_properties)
    return {
        one: None if given is None else canonical_json(without_nulls(given))
        for one, given in fetched.items()
    }


def _extracted(
    contact: Mapping[str, Any], choice: CompanyChoice, names: Sequence[str]
) -> ExtractedContact:
    properties = contact.get("properties")
    given = properties if isinstance(properties, dict) else {}
    source = {
        "id": contact["id"],
        "properties": without_nulls({name: given.get(name) for name in names}),
    }
    return ExtractedContact(contact["id"], canonical_json(source), choice.company_id, choice.rule)
