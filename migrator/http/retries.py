"""The retries of a read: how many there are, and how long to wait before each."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from migrator.errors import RunAgain, ServiceBusy, ServiceDown
from migrator.http.backoff import backoff_seconds
from migrator.http.failures import ReadFailure
from migrator.http.outage import OutageBudget
from migrator.http.page_size import SMALLEST, PageSize
from migrator.http.responses import Response
from migrator.text import local_time

MAX_TRIES = 7
# A denial by a service that accepted the credentials before is believed after so many repetitions.
DENIALS_RETRIED = 2
# A smaller page is a different request, which need not wait as long as a retry of the same one.
LONGEST_WAIT_FOR_A_SMALLER_PAGE_SECONDS = 8.0
# If the service asks for a longer wait, the run stops, resumable, and says until when.
LONGEST_WAIT_SECONDS = 300.0

log = logging.getLogger("migrator.http")


@dataclass
class Retries:
    """
    The tries of one read.

    Args:
        service, url: The name and base URL of the service, for messages.
        pause: Sleeps for so many seconds, or raises when the user interrupts.
        most: How many tries to make if the service is not waited for.
        is_patient: Whether to wait for a service that is away.
    """

    service: str
    url: str
    outage: OutageBudget
    pause: Callable[[float], None]
    most: int
    is_patient: bool
    _since: float = field(default_factory=lambda: time.monotonic())
    _tries: int = 0
    # In a row, by a service that is up. It may be busy after an outage, so the tries during the
    # outage do not count.
    _failures: int = 0
    _denials: int = 0

    def run(
        self, attempt: Callable[[int], Response | ReadFailure], size: PageSize | None
    ) -> Response:
        """Repeat an attempt, a function of the rows of its page, until it has an answer."""
        while True:
            self._tries += 1
            rows = size.rows if size else 0
            result = attempt(rows)
            if isinstance(result, Response):
                self.outage.answered(time.monotonic())
                if size:
                    size.served(rows)
                return result
            is_smaller = bool(size and result.may_be_size and size.failed(rows))
            # A larger page may only be too large, which is no outage.
            if result.is_away and not (result.may_be_size and rows > SMALLEST):
                self.outage.failed(self._since, time.monotonic())
            self._wait_or_raise(result, is_smaller)

    def _wait_or_raise(self, failure: ReadFailure, is_smaller: bool) -> None:
        """Wait before the next try, or raise if there is none."""
        if failure.fault is not None and not self.outage.has_answered:
            raise failure.fault
        self._failures = 0 if failure.is_away else self._failures + 1
        self._denials += failure.is_denial
        is_last = (self._failures or self._tries) >= self.most or self._denials > DENIALS_RETRIED
        is_waited_for = self.is_patient and not failure.is_final
        left = self._outage_left_seconds(failure) if is_waited_for else 0.0
        if failure.is_final or (left == 0 and is_last and not is_smaller):
            raise failure.error or self._service_down(failure.message)
        self._wait(failure, max(left, LONGEST_WAIT_SECONDS), is_smaller)

    def _outage_left_seconds(self, failure: ReadFailure) -> float:
        """How much longer to retry a service that is away or busy."""
        now, left = time.monotonic(), 0.0
        if failure.is_away:
            self.outage.set_away(self._since)
            left = self.outage.left_seconds(self._since, now)
        if failure.asked_seconds is not None:
            left = max(left, self.outage.left_for_a_wait_seconds(self._since, now))
        return left

    def _service_down(self, reason: str) -> ServiceDown:
        minutes = round((time.monotonic() - self._since) / 60)
        lasted = f" over {minutes:,} minutes" if self.outage.seconds and minutes else ""
        return ServiceDown(
            f"{self.service} at {self.url} gave no usable answer in {self._tries} tries{lasted}: "
            f"{reason}.",
            RunAgain(after=" later; everything done so far is kept"),
        )

    def _wait(self, failure: ReadFailure, longest_seconds: float, is_smaller: bool) -> None:
        asked = failure.asked_seconds
        if asked is not None and asked > longest_seconds:
            when = local_time(time.time() + asked)
            raise ServiceBusy(
                f"{self.service} asks for a wait until {when} ({failure.message}).",
                RunAgain(after=" then; everything done so far is kept"),
            )
        # Jitter, so that clients that were throttled together do not return together.
        wait = backoff_seconds(self._tries) * random.uniform(0.5, 1.0)
        if is_smaller:
            wait = min(wait, LONGEST_WAIT_FOR_A_SMALLER_PAGE_SECONDS)
        wait = wait if asked is None else asked + random.uniform(0.0, 0.25)
        smaller = " for a smaller page" if is_smaller else ""
        log.info("%s: %s; retrying%s in %.1f s", self.service, failure.message, smaller, wait)
        self.pause(wait)
