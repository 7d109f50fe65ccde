"""
The reads of a push beside its sends: listings for what is in doubt, and whether the service works.

They happen one after the other in a thread of their own, and tell the scribe what they found.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from migrator.doubts import ListingComplete, ListingFailed, ListingMatcher
from migrator.errors import Interrupted, StoppedEarly
from migrator.push.destination import Destination
from migrator.rate_limit import OutageBudget


@dataclass(frozen=True)
class ClientGone:
    """The client is gone."""

    error: BaseException


@dataclass(frozen=True)
class ServiceRecovered:
    """
    The service answered a read.

    Args:
        was_down: Whether it did not at first, be it only once.
        error: Why it never will, or is waited for no longer; `None` = it did.
    """

    was_down: bool = False
    error: BaseException | None = None


class ListingReader:
    """
    A thread that reads.

    Args:
        outage: How long to ask a service that is down; the client's own, for it knows of outages.
        tell: Takes what was found: `ClientGone`, `ServiceRecovered`, and what a `ListingMatcher`
            reports.
    """

    def __init__(
        self, client: Destination, outage: OutageBudget, tell: Callable[[Any], None]
    ) -> None:
        self._client = client
        self._outage = outage
        self._tell = tell
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="list")
        self.is_listing = self.is_asking = self.is_away = False

    def close(self) -> None:
        """Wait for the thread to end."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def heard(self, event: Any) -> None:
        """The scribe has taken this in."""
        if isinstance(event, (ListingComplete, ListingFailed)):
            self.is_listing = False
        elif isinstance(event, ServiceRecovered):
            self.is_asking = self.is_away = False

    def list(self, matcher: ListingMatcher) -> None:
        """List the client, looking for what is in doubt."""
        self.is_listing = True
        self._threads.submit(matcher.look, self._client.pages, self._tell)

    def ask(self) -> None:
        """Ask for a page until it is answered; no send is to find out whether that works."""
        self.is_asking = True
        self._threads.submit(self._ask)

    def _ask(self) -> None:
        began = time.monotonic()
        try:
            if self._outage.seconds:
                self._wait_for_service()
            else:
                self._client.read(is_patient=False)
        except BaseException as error:  # it is the main thread's to judge
            self._tell(ServiceRecovered(error=error))
        else:
            self._tell(ServiceRecovered(self._outage.was_away(began, time.monotonic())))

    def _wait_for_service(self) -> None:
        try:
            self._client.read(is_patient=False, most_tries=1)
        except StoppedEarly:
            self.is_away = True  # to be said at once, however long it lasts
            self._client.read()

    def check_client(self) -> None:
        """Look whether the client is still there."""
        self._threads.submit(self._check_client)

    def _check_client(self) -> None:
        try:
            # Doubts are settled in this thread: what is only a precaution is not waited for.
            self._client.check(is_patient=False)
        except (StoppedEarly, Interrupted):
            pass  # nobody can say now; the sends themselves tell whether to go on
        except BaseException as error:  # it is the main thread's to judge
            self._tell(ClientGone(error))
