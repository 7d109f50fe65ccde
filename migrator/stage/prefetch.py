"""
Reads HubSpot's pages with their companies, ahead of the thread that writes them.

Each page gives the cursor of the next one, so a single thread reads them in sequence; this chain
bounds the speed of a stage. Other threads read the companies meanwhile, in full batches that
consecutive pages fill together. A page is returned once all its companies are read. The number of
pages held in memory is bounded.
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
from migrator.hubspot_responses import modified_ms
from migrator.ledger import ExtractedContact
from migrator.mapping import CompanyChoice, choose_company
from migrator.mapping_versions import MappingSet

PAGES_AHEAD = 3
# The most pages that wait for their companies; after a crash they are read again.
MOST_PAGES_WAITING = 20
READERS = 3
# If the next page takes longer, the pages that were read before are completed first.
STALLED_AFTER_SECONDS = 2.0

# JSON by id; `None` = not found in HubSpot.
Companies = Mapping[str, str | None]


@dataclass(frozen=True)
class PageBatch:
    """
    Consecutive pages.

    Args:
        contacts: In HubSpot's order; a contact that moved meanwhile may appear twice.
        companies: Read since the previous batch; the ledger has all others.
        cursor: The cursor of the next page; `None` = this was the last page.
        last_asked: The cursor that its last page was requested with; `None` = the first page.
        odd: Descriptions of its rows without a valid id.
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
    stored: Callable[[Collection[str]], Mapping[str, bool]],
    check: Callable[[], None],
    *,
    is_end_again: bool = False,
) -> Generator[PageBatch, None, None]:
    """
    Read the remaining pages of a scan. Write each batch before requesting the next one.

    Args:
        after: The cursor to begin at; `None` = the first page.
        stored: Returns those of the given companies that were stored by this scan, each with
            whether HubSpot has it.
        check: Called while pages wait for their companies; raises if the user wants to stop.
        is_end_again: The first of these pages is the last one of an earlier pass, so its odd rows
            were counted already.
    """
    with (
        _threads(READERS, "companies") as readers,
        closing(_ahead(_pages(hubspot, mappings, after, is_end_again))) as pages,
    ):
        failures: list[BaseException] = []

        def read(company_ids: Sequence[str]) -> Companies:
            if failures:  # the service is failing: later batches must not retry as long again
                raise failures[0]
            try:
                return _companies(hubspot, mappings, company_ids)
            except BaseException as error:
                failures.append(error)
                raise

        def request(company_ids: Sequence[str]) -> "Future[Companies]":
            return readers.submit(read, company_ids)

        yield from _batches(pages, mappings, CompanyLoader(request, stored), check)


def _batches(
    pages: "Iterator[Future[ContactPage | None]]",
    mappings: MappingSet,
    loader: "CompanyLoader",
    check: Callable[[], None],
) -> Iterator[PageBatch]:
    waiting: deque[PendingPage] = deque()
    for future in pages:
        if not wait([future], STALLED_AFTER_SECONDS).done:
            yield from _complete(waiting, mappings, loader, are_all=True)
        page = None if future.exception() else future.result()
        if page is None:
            break
        waiting.append(PendingPage(page, loader))
        is_full = len(waiting) >= MOST_PAGES_WAITING
        yield from _complete(waiting, mappings, loader, are_all=is_full)
        if waiting:
            check()
    # If a page failed, the pages before it are still written.
    yield from _complete(waiting, mappings, loader, are_all=True)
    future.result()


class PendingPage:
    """A page that waits for the companies of its contacts."""

    def __init__(self, page: ContactPage, loader: "CompanyLoader") -> None:
        self.page = page
        self._loader = loader
        self._choices = [choose_company(contact, loader.gone) for contact in page.contacts]
        self._want()

    def _want(self) -> None:
        self._known_as_gone = len(self._loader.gone)
        self._wanted = {one.company_id for one in self._choices if one.company_id}
        self._needs = self._loader.want(self._wanted)

    def is_complete(self) -> bool:
        """Whether all are read. If one turns out to be gone, its contact's next choice is read."""
        gone = self._loader.gone
        # Several times: the ledger may know at once that the next choice is gone, too.
        while self._needs <= self._loader.received and self._known_as_gone < len(gone):
            self._known_as_gone = len(gone)
            if not gone.isdisjoint(self._wanted):
                self._choices = [
                    choose_company(contact, gone) if choice.company_id in gone else choice
                    for contact, choice in zip(self.page.contacts, self._choices, strict=True)
                ]
                self._want()
        return self._needs <= self._loader.received

    def extracted(self, names: Sequence[str]) -> list[ExtractedContact]:
        """The page's contacts, each with its company."""
        chosen = zip(self.page.contacts, self._choices, strict=True)
        return [_extracted(contact, choice, names) for contact, choice in chosen]


def _complete(
    waiting: deque[PendingPage], mappings: MappingSet, loader: "CompanyLoader", *, are_all: bool
) -> Iterator[PageBatch]:
    """Return the complete pages; `are_all`: wait until all of them are complete."""
    while True:
        if are_all:
            loader.request_rest()
        # One batch of companies at a time, so that a failure loses no page completed before it.
        is_more = loader.receive(waits=are_all)
        complete = []
        while waiting and waiting[0].is_complete():
            complete.append(waiting.popleft())
        if complete:
            yield _page_batch(complete, mappings, loader)
        if not is_more and not (are_all and waiting):
            return


def _page_batch(
    complete: Sequence[PendingPage], mappings: MappingSet, loader: "CompanyLoader"
) -> PageBatch:
    pages = [one.page for one in complete]
    return PageBatch(
        [contact for one in complete for contact in one.extracted(mappings.contact_properties)],
        loader.take(),
        len(pages),
        pages[-1].after,
        pages[-1].asked,
        [words for page in pages for words in page.odd],
    )


class CompanyLoader:
    """
    Reads companies in batches, each company once, in the order of the pages.

    Args:
        request: Reads companies in another thread.
        stored: See `page_batches`.

    Attributes:
        received: The number of companies read so far.
        gone: Ids of companies that HubSpot does not return.
    """

    def __init__(
        self,
        request: Callable[[Sequence[str]], "Future[Companies]"],
        stored: Callable[[Collection[str]], Mapping[str, bool]],
    ) -> None:
        self._request = request
        self._stored = stored
        self._wanted = 0
        # By id: the value of `received` at which the company is there.
        self._pending: dict[str, int] = {}
        self._queued: list[str] = []
        self._requested: deque[Future[Companies]] = deque()
        self._fresh: dict[str, str | None] = {}
        self.received = 0
        self.gone: set[str] = set()

    def want(self, company_ids: Collection[str]) -> int:
        """Queue companies; return the value of `received` at which all of them are there."""
        others = [one for one in company_ids if one not in self._pending]
        here = self._stored(others) if others else {}
        self.gone.update(one for one, is_there in here.items() if not is_there)
        for one in sorted(set(others) - here.keys()):
            self._wanted += 1
            self._pending[one] = self._wanted
            self._queued.append(one)
        while len(self._queued) >= COMPANIES_PER_BATCH:
            self._request_next()
        return max((self._pending.get(one, 0) for one in company_ids), default=0)

    def _request_next(self) -> None:
        batch = self._queued[:COMPANIES_PER_BATCH]
        del self._queued[:COMPANIES_PER_BATCH]
        self._requested.append(self._request(batch))

    def request_rest(self) -> None:
        """Request the queued companies, although they do not fill a batch."""
        if self._queued:
            self._request_next()

    def receive(self, *, waits: bool) -> bool:
        """Take the next batch if it has been read, or wait for it; `False` = there is none."""
        if not self._requested or not (waits or self._requested[0].done()):
            return False
        batch = self._requested.popleft().result()
        self._fresh.update(batch)
        self.gone.update(one for one, given in batch.items() if given is None)
        self.received += len(batch)
        return True

    def take(self) -> Companies:
        """Take the companies read since the last call; the caller stores them."""
        taken, self._fresh = self._fresh, {}
        for one in taken:
            del self._pending[one]
        return taken


def _pages(
    hubspot: HubSpot, mappings: MappingSet, after: str | None, is_end_again: bool
) -> Iterator[ContactPage]:
    """The remaining pages; all pages if HubSpot no longer accepts the cursor."""
    pages = hubspot.pages(mappings.contact_properties, after)
    try:
        first = next(pages)
    except (Unauthorized, Forbidden, NotFound):
        raise
    except Declined:
        if after is None:
            raise
        # Cursors may expire. Reading all pages again is harmless.
        pages = hubspot.pages(mappings.contact_properties, None)
        first = next(pages)
    yield replace(first, odd=()) if is_end_again else first
    yield from pages


def _ahead(
    items: Iterator[ContactPage],
) -> "Generator[Future[ContactPage | None], None, None]":
    """Iterate while the next items are fetched in another thread; `None` follows the last item."""
    with _threads(1, "fetch") as fetcher:
        futures = deque(fetcher.submit(next, items, None) for _ in range(PAGES_AHEAD))
        while True:
            futures.append(fetcher.submit(next, items, None))
            yield futures.popleft()


@contextmanager
def _threads(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """A thread pool; on exit, running tasks are awaited and the others cancelled."""
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
    return ExtractedContact(
        contact["id"],
        canonical_json(source),
        choice.company_id,
        choice.rule,
        modified_ms(contact),
    )
