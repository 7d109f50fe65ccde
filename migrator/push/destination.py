"""
The LeadGenius client that receives the leads: its listings, and whether it still exists.

Every request takes its turn in the rate limiter like a send, because the service counts it too.
Methods may be called from any thread.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from migrator.clock import awake_or_asleep
from migrator.errors import Declined, StoppedEarly
from migrator.leadgenius import LeadGenius, LeadPage
from migrator.push.stops import busy
from migrator.rate_limit import RateLimiter


class StopSignal(Protocol):
    """The stop flag; see `signals`."""

    @property
    def is_wanted(self) -> bool: ...

    def pause(self, seconds: float) -> None: ...

    def cut_off(self) -> AbstractContextManager[None]: ...

    def check(self) -> None: ...


class Destination:
    """
    One client of LeadGenius.

    Args:
        client_id: Its slug.
        limiter: The rate limiter of all requests of this push.
        longest_wait_seconds: The longest wait for the next window of the rate limit.

    Attributes:
        listing_pages: Requests that the last complete listing took.
    """

    def __init__(
        self,
        leadgenius: LeadGenius,
        client_id: str,
        limiter: RateLimiter,
        signals: StopSignal,
        longest_wait_seconds: float,
    ) -> None:
        self._leadgenius = leadgenius
        self._client_id = client_id
        self._limiter = limiter
        self._signals = signals
        self._longest_wait_seconds = longest_wait_seconds
        self._is_closed = False
        self.listing_pages = 1

    def close(self) -> None:
        """Make listings that are in progress fail."""
        self._is_closed = True

    def check_open(self) -> None:
        """Raise `StoppedEarly` after `close`."""
        if self._is_closed:
            # An orderly end would mean that the listing was complete.
            raise StoppedEarly("The listing was interrupted.", "migrator push --resume")

    def pages(self) -> Iterator[LeadPage]:
        """
        List all leads, page by page, until the user wants to stop.

        Raises:
            NotReady: the client no longer exists; its empty listing would prove nothing.
        """
        pages, read = self._leadgenius.lead_pages(self._client_id), 0
        while True:
            self._await_turn()
            page = next(pages, None)
            if page is None:
                self.check()
                self.listing_pages = read
                return
            read += 1
            yield page

    def page(self, cursor: str | None) -> tuple[LeadPage, float]:
        """
        Read the page that begins at a cursor of an earlier listing; `None` = the first one.

        Returns:
            The page, and when it was asked for, on `clock.awake_or_asleep`.
        """
        self._await_turn()
        asked_at = awake_or_asleep()
        return self._leadgenius.lead_page(self._client_id, cursor), asked_at

    def find(self, email: str) -> Mapping[str, Any] | None:
        """A lead with this e-mail; see `LeadGenius.find_lead`."""
        self._await_turn()
        return self._leadgenius.find_lead(self._client_id, email)

    def find_anywhere(self, email: str) -> Mapping[str, Any] | None:
        """A lead of any client with this e-mail; `None` proves nothing."""
        self._await_turn()
        try:
            return self._leadgenius.find_lead(None, email)
        except Declined:
            return None

    def check(self, **retries: Any) -> None:
        """
        Check that the client still exists.

        Args:
            retries: `is_patient` and `most_tries` of `HttpClient.read`. A single try that is not
                patient does not wait for a `Retry-After`.

        Raises:
            NotReady: the client no longer exists.
        """
        self._await_turn()
        self._leadgenius.check_presence(self._client_id, **retries)

    def read(self, **retries: Any) -> None:
        """
        Read one page of leads; `is_patient` and `most_tries` as for `HttpClient.read`.

        Raises:
            MigratorError: the page could not be read.
        """
        self._await_turn()
        self._leadgenius.check_listing(self._client_id, **retries)

    def is_too_long(self) -> bool:
        """Whether the next window of the rate limit is too far away to wait for."""
        wait = self._limiter.wait_seconds(time.monotonic())
        return wait > self._longest_wait_seconds + self._limiter.interval_seconds

    def _await_turn(self) -> None:
        self._signals.check()
        while self._limiter.claim(time.monotonic(), 1) == 0:
            wait = self._limiter.wait_seconds(time.monotonic())
            if self.is_too_long():
                raise busy(wait)
            self._signals.pause(wait)
            self.check_open()
        self.check_open()
