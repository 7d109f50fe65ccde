"""
The client that the leads go to, for any thread: its listings, and whether it is still there.

Every request of it takes its turn like a send, because the service counts it too.
"""

import time
from collections.abc import Iterator
from typing import Any, Protocol

from migrator.errors import StoppedEarly
from migrator.leadgenius import LeadGenius, LeadPage
from migrator.push.stops import busy
from migrator.rate_limit import RateLimiter


class StopSignal(Protocol):
    """Whether the user wants to stop."""

    @property
    def is_wanted(self) -> bool: ...

    def pause(self, seconds: float) -> None: ...

    def cut_off(self) -> None: ...

    def check(self) -> None: ...


class Destination:
    """
    One client.

    Args:
        client_id: The slug of it.
        pacer: The pace of all requests of this push.
        longest_wait_seconds: How long a window is waited for.
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

    def close(self) -> None:
        """Cut off whoever is listing."""
        self._is_closed = True

    def check_open(self) -> None:
        """Raise `StoppedEarly` when it is closed."""
        if self._is_closed:
            # Ending in order would say that the listing was complete.
            raise StoppedEarly("The listing was cut off.", "migrator push --resume")

    def pages(self) -> Iterator[LeadPage]:
        """
        All its leads, until somebody wants to stop.

        Raises:
            NotReady: it is gone. It then lists nothing, which proves nothing.
        """
        pages = self._leadgenius.lead_pages(self._client_id)
        while True:
            self._await_turn()
            page = next(pages, None)
            if page is None:
                self.check()
                return
            yield page

    def check(self, **retries: Any) -> None:
        """
        Look whether it is still there.

        Args:
            retries: `is_patient` and `most_tries` as for `Wire.read`. A single try that is not
                patient never waits for what a 429 asks.

        Raises:
            NotReady: it is gone.
        """
        self._await_turn()
        self._leadgenius.check_presence(self._client_id, **retries)

    def read(self, **retries: Any) -> None:
        """
        Read one page of its leads; `is_patient` and `most_tries` as for `Wire.read`.

        Raises:
            MigratorError: there is none to be had.
        """
        self._await_turn()
        self._leadgenius.check_listing(self._client_id, **retries)

    def is_too_long(self) -> bool:
        """Whether the service's next window is further away than it is waited for."""
        wait = self._limiter.wait_seconds(time.monotonic())
        return wait > self._longest_wait_seconds + self._limiter.own_seconds

    def _await_turn(self) -> None:
        self._signals.check()
        while self._limiter.claim(time.monotonic(), 1) == 0:
            wait = self._limiter.wait_seconds(time.monotonic())
            if self.is_too_long():
                raise busy(wait)
            self._signals.pause(wait)
            self.check_open()
        self.check_open()
