"""
The reading thread of a push: listings that settle doubts, searches for a few leads, and reads that
show if the service works.

Reads run one after the other, in parallel with the sends; their findings are events for the push
loop.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from migrator.clock import awake_or_asleep
from migrator.doubts import ListingComplete, ListingFailed, ListingMatcher, identity_of
from migrator.errors import Declined, Interrupted, StoppedEarly
from migrator.http import OutageBudget
from migrator.leadgenius import LeadPage
from migrator.ledger import LeadIdentity
from migrator.push.destination import Destination


@dataclass(frozen=True)
class LeadsListed:
    """
    Leads of the client.

    Args:
        leads: Those with our portal's record line.
        page: The page that showed them; `None` = they were searched for.
        cursor: The page's own; `None` = it is the first one.
        began_at: When it was asked for, on `clock.awake_or_asleep`.
    """

    leads: Sequence[LeadIdentity]
    page: LeadPage | None
    cursor: str | None
    began_at: float


@dataclass(frozen=True)
class PageFailed:
    """A page that was asked for could not be read."""

    error: BaseException


@dataclass(frozen=True)
class ContactsFound:
    """
    The search for some contacts' leads has ended.

    Args:
        is_proof: Whether find-lead shows the record line of a lead that this push has created;
            otherwise it proves nothing, and the client has to be listed.
    """

    is_proof: bool


@dataclass(frozen=True)
class ClientGone:
    """The client no longer exists."""

    error: BaseException


@dataclass(frozen=True)
class ServiceRecovered:
    """
    The read that the breaker asked for has ended.

    Args:
        was_down: Whether the service failed to answer at first, even once.
        error: Why the run must stop; `None` = the read succeeded.
    """

    was_down: bool = False
    error: BaseException | None = None


class ListingReader:
    """
    The reading thread.

    Args:
        portal_id: The HubSpot portal that the record lines of our leads name.
        outage: How long to retry a service that is down; shared with the HTTP client, which records
            its outages.
        put_event: Receives `LeadsListed`, `ClientGone`, `ServiceRecovered`, and the findings of a
            `ListingMatcher`.

    Attributes:
        is_listing: Whether a listing or a search has begun whose end the push loop has not seen.
        is_paging: The same, of a single page.
        is_reading: The same, of a read for the breaker.
        is_away: Whether that read waits for a service that is away.
        can_find: Whether find-lead may prove something, as far as is known.
    """

    def __init__(
        self,
        client: Destination,
        portal_id: str,
        outage: OutageBudget,
        put_event: Callable[[Any], None],
    ) -> None:
        self._client = client
        self._portal_id = portal_id
        self._outage = outage
        self._put_event = put_event
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="list")
        self.is_listing = self.is_paging = self.is_reading = self.is_away = False
        self.can_find = True

    def close(self) -> None:
        """Wait for the thread to end."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def on_event(self, event: Any) -> None:
        """Note that the push loop has processed an event."""
        if isinstance(event, (ListingComplete, ListingFailed, ContactsFound)):
            self.is_listing = False
            self.can_find &= not isinstance(event, ContactsFound) or event.is_proof
        elif isinstance(event, (LeadsListed, PageFailed)):
            self.is_paging = False
        elif isinstance(event, ServiceRecovered):
            self.is_reading = self.is_away = False

    def start_listing(self, matcher: ListingMatcher) -> None:
        """List the client's leads, looking for those in doubt."""
        self.is_listing = True
        self._threads.submit(matcher.look, self._pages, self._put_event)

    def _pages(self) -> Iterator[LeadPage]:
        cursor, began_at = None, awake_or_asleep()
        for page in self._client.pages():
            self._put_listed(page.leads, page, cursor, began_at)
            cursor, began_at = page.cursor, awake_or_asleep()
            yield page

    def _put_listed(
        self,
        leads: Sequence[Mapping[str, Any]],
        page: LeadPage | None = None,
        cursor: str | None = None,
        began_at: float = 0.0,
    ) -> bool:
        """Report those with our portal's record line; whether there are any."""
        identities = [identity_of(lead, self._portal_id) for lead in leads]
        ours = [one for one in identities if one.hubspot_ids]
        self._put_event(LeadsListed(ours, page, cursor, began_at))
        return bool(ours)

    def start_search(self, emails: Sequence[str]) -> None:
        """Find the leads with these e-mails; the first one is of a lead that we have created."""
        self.is_listing = True
        self._threads.submit(self._search, emails)

    def _search(self, emails: Sequence[str]) -> None:
        is_proof = True
        try:
            for number, email in enumerate(emails):
                lead = self._client.find(email)
                is_shown = lead is not None and self._put_listed([lead])
                is_proof = is_shown if number == 0 else is_proof
                if not is_proof:
                    break
        except Declined:
            self._put_event(ContactsFound(is_proof=False))
        except BaseException as error:  # for the push loop to raise
            self._put_event(ListingFailed(error))
        else:
            self._put_event(ContactsFound(is_proof))

    def start_page(self, cursor: str | None) -> None:
        """Read one page of the client's leads."""
        self.is_paging = True
        self._threads.submit(self._read_page, cursor)

    def _read_page(self, cursor: str | None) -> None:
        began_at = awake_or_asleep()
        try:
            page, asked_at = self._client.page(cursor)
            self._put_listed(page.leads, page, cursor, asked_at)
        except Declined as error:
            if cursor is None:
                self._put_event(PageFailed(error))
            else:  # the cursor has expired: no lead stands there any more, so a listing follows
                self._put_listed([], LeadPage([], None), cursor, began_at)
        except BaseException as error:  # for the push loop to raise
            self._put_event(PageFailed(error))

    def start_read(self) -> None:
        """Read a page, retrying while the outage budget lasts."""
        self.is_reading = True
        self._threads.submit(self._read)

    def _read(self) -> None:
        began = time.monotonic()
        try:
            if self._outage.seconds:
                self._wait_for_service()
            else:
                self._client.read(is_patient=False)
        except BaseException as error:  # for the push loop to raise
            self._put_event(ServiceRecovered(error=error))
        else:
            self._put_event(ServiceRecovered(self._outage.was_away(began, time.monotonic())))

    def _wait_for_service(self) -> None:
        try:
            self._client.read(is_patient=False, most_tries=1)
        except StoppedEarly:
            self.is_away = True  # shown at once, however long the retries take
            self._client.read()

    def check_client(self) -> None:
        """Check that the client still exists."""
        self._threads.submit(self._check_client)

    def _check_client(self) -> None:
        try:
            # Only a precaution: it must not delay the listings of this thread by retrying.
            self._client.check(is_patient=False)
        except (StoppedEarly, Interrupted):
            pass  # unknown for now; the results of the sends decide whether to go on
        except BaseException as error:  # for the push loop to raise
            self._put_event(ClientGone(error))
