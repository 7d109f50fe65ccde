"""
The HTTP client of one service: reads that may be repeated, and sends that may not.

A read returns its answer, or raises an error with a message for the user. A send returns what its
answer proves.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from migrator.errors import ServiceBusy, ServiceDown
from migrator.http.failures import ErrorCheck, ReadFailure, ReadRequest, TryResult, no_error
from migrator.http.page_size import SMALLEST, PageSize
from migrator.http.redaction import Redactor, proxy_passwords
from migrator.http.responses import (
    RateLimitInfo,
    Response,
    SendOutcome,
    classify,
    error_type,
    excerpt,
    rate_limit_info,
    wait_asked_seconds,
)
from migrator.http.transport import NeverSent, ResponseLost, Transport
from migrator.loopback import is_loopback
from migrator.rate_limit import OutageBudget, RequestWindow, backoff_seconds
from migrator.states import Outcome
from migrator.text import local_time

MAX_TRIES = 7
# A denial by a service that accepted the credentials before is believed after so many repetitions.
DENIALS_RETRIED = 2
# A smaller page is a different request, which need not wait as long as a retry of the same one.
LONGEST_WAIT_FOR_A_SMALLER_PAGE_SECONDS = 8.0
# If the service asks for a longer wait, the run stops, resumable, and says until when.
LONGEST_WAIT_SECONDS = 300.0
# A page of a hundred contacts is smaller, even with every property as long as HubSpot allows. The
# answer to a send holds one lead; each worker keeps one in memory.
LONGEST_PAGE_BYTES = 128 << 20
LONGEST_SEND_ANSWER_BYTES = 16 << 20

log = logging.getLogger("migrator.http")

Headers = Mapping[str, str]


@dataclass
class _Tries:
    """
    The tries of one read so far.

    Args:
        since: When the read began, on the monotonic clock.
        most: How many tries to make if the service is not waited for.
        is_patient: Whether to wait for a service that is away.
        failures: Failed answers in a row by a service that is up. It may be busy after an outage,
            so tries during the outage do not count.
        denials: How often the service denied the request.
    """

    since: float
    most: int
    is_patient: bool
    number: int = 0
    failures: int = 0
    denials: int = 0

    def add(self, failure: ReadFailure) -> None:
        """Count a failed try."""
        self.failures = 0 if failure.is_away else self.failures + 1
        self.denials += failure.is_denial

    @property
    def are_enough(self) -> bool:
        """Whether to stop, unless the service is waited for."""
        return (self.failures or self.number) >= self.most or self.denials > DENIALS_RETRIED


class HttpClient:
    """
    The HTTP client of one service. Any thread may use it.

    Args:
        service: The name of the service, for messages.
        base_url: Without a trailing slash. Nothing is ever sent elsewhere.
        timeout_seconds: How long to wait for an answer.
        pause: Sleeps for so many seconds, or raises when the user interrupts.
        outage: How long the service may be away; `None` = as long as `MAX_TRIES` take.

    Attributes:
        redactor: Removes the secrets of this service; callers add those that they send.
    """

    def __init__(
        self,
        service: str,
        base_url: str,
        *,
        timeout_seconds: float,
        pause: Callable[[float], None] = time.sleep,
        outage: OutageBudget | None = None,
    ) -> None:
        self.service = service
        self.base_url = base_url
        self._pause = pause
        self._outage = outage or OutageBudget()
        # A service on this machine needs no proxy.
        self._transport = Transport(timeout_seconds, use_environment=not is_loopback(base_url))
        self.redactor = Redactor()
        self.redactor.add(*proxy_passwords())

    def read(
        self,
        method: str,
        path: str,
        *,
        headers: Headers,
        params: Mapping[str, str] | Callable[[int], Mapping[str, str]] | None = None,
        payload: Any = None,
        size: PageSize | None = None,
        fatal: ErrorCheck = no_error,
        flaw: ErrorCheck = no_error,
        retried_statuses: Collection[int] = (),
        is_login: bool = False,
        window: RequestWindow | None = None,
        is_patient: bool = True,
        most_tries: int = MAX_TRIES,
    ) -> Response:
        """
        Make a request that may be repeated, with back-off and jitter.

        Args:
            params, payload: Query and JSON body, or functions from the rows of a page to them.
            size: The size of the requested page; it shrinks if it may be the cause of a failure.
            fatal, flaw, retried_statuses, is_login: As in `ReadRequest`.
            window: The rolling limit that each try keeps to, and that learns from its answer.
            is_patient: Whether to retry a service that is away while the outage budget lasts.
            most_tries: The number of tries otherwise.

        Raises:
            Declined: the service denied the request (401, 403 and 404 have their own classes).
            NotReady: never reached, because of a proxy or certificate setting of this machine.
            ServiceDown: the service could not be reached, or kept failing.
            ServiceBusy: the service asks for a longer wait than we accept.
        """
        checks = (fatal, flaw, retried_statuses, is_login)
        read = ReadRequest(self.service, self.base_url, path, self.redactor, *checks)

        def attempt(rows: int) -> Response | ReadFailure:
            request = _request(headers, _for_rows(params, rows), _for_rows(payload, rows))
            return read.evaluate(self._try(window, method, path, **request))

        return self._repeat(attempt, size, _Tries(time.monotonic(), most_tries, is_patient))

    def _repeat(
        self, attempt: Callable[[int], Response | ReadFailure], size: PageSize | None, tries: _Tries
    ) -> Response:
        """Make attempts, each for so many rows, until one has an answer."""
        while True:
            tries.number += 1
            rows = size.rows if size else 0
            result = attempt(rows)
            if isinstance(result, Response):
                self._outage.answered(time.monotonic())
                if size:
                    size.served(rows)
                return result
            is_smaller = bool(size and result.may_be_size and size.failed(rows))
            # A larger page may only be too large, which is no outage.
            if result.is_away and not (result.may_be_size and rows > SMALLEST):
                self._outage.failed(tries.since, time.monotonic())
            self._wait_to_repeat(tries, result, is_smaller)

    def _wait_to_repeat(self, tries: _Tries, failure: ReadFailure, is_smaller: bool) -> None:
        """Wait before the next try, or raise if there is none."""
        if failure.fault is not None and not self._outage.has_answered:
            raise failure.fault
        tries.add(failure)
        is_waited_for = tries.is_patient and not failure.is_final
        left = self._outage_left_seconds(tries.since, failure) if is_waited_for else 0.0
        if failure.is_final or (left == 0 and tries.are_enough and not is_smaller):
            raise failure.error or self._service_down(tries, failure.message)
        self._wait(tries.number, failure, max(left, LONGEST_WAIT_SECONDS), is_smaller)

    def send(
        self,
        path: str,
        body: bytes,
        *,
        headers: Headers,
        created_id: Callable[[Mapping[str, Any]], str | None],
    ) -> SendOutcome:
        """
        Make a request that must not be repeated, exactly once.

        Args:
            body: JSON.
            created_id: Extracts the id of the created object from the answer; `None` = no id.
        """
        headers = {**headers, "Content-Type": "application/json"}
        try:
            response = self._exchange(
                "POST", path, headers=headers, body=body, longest_bytes=LONGEST_SEND_ANSWER_BYTES
            )
        except NeverSent as failure:
            return SendOutcome(Outcome.UNSENT, answer=str(failure))
        except ResponseLost as failure:
            return SendOutcome(None, answer=str(failure))
        if response.status < 500:
            self._outage.answered(time.monotonic())
        found = created_id(response.data)
        outcome = classify(response, found)
        return SendOutcome(
            outcome,
            response.status,
            None if outcome is Outcome.CREATED else excerpt(response.body, self.redactor),
            found if outcome is Outcome.CREATED else None,
            error_type(response),
            wait_asked_seconds(response, _now()),
            rate_limit_info(response, _now()),
        )

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _try(
        self, window: RequestWindow | None, method: str, path: str, **request: Any
    ) -> TryResult:
        """Make one try of a read: its answer, or why there is none."""
        request["longest_bytes"] = LONGEST_PAGE_BYTES
        try:
            return self._exchange_within(window, method, path, **request)
        except (NeverSent, ResponseLost) as failure:
            return failure

    def _exchange_within(
        self, window: RequestWindow | None, method: str, path: str, **request: Any
    ) -> Response:
        if window is None:
            return self._exchange(method, path, **request)
        while wait := window.claim(time.monotonic()):
            self._pause(wait)
        info = RateLimitInfo()
        try:
            response = self._exchange(method, path, **request)
            info = rate_limit_info(response, _now())
            return response
        finally:
            window.end(time.monotonic(), info.limit, info.remaining, info.reset_in_seconds)

    def _exchange(self, method: str, path: str, **request: Any) -> Response:
        began = time.monotonic()
        try:
            response = self._transport.exchange(method, self.base_url + path, **request)
        except (NeverSent, ResponseLost) as failure:
            log.debug("%s %s: %s (%s)", method, path, type(failure).__name__.lower(), failure)
            raise
        # No headers, parameters or bodies: those hold tokens and personal data.
        took_ms = (time.monotonic() - began) * 1000
        log.debug("%s %s: %s in %.0f ms", method, path, response.status, took_ms)
        return response

    def _outage_left_seconds(self, since: float, failure: ReadFailure) -> float:
        """How much longer to retry a service that has been away or busy since this time."""
        now, left = time.monotonic(), 0.0
        if failure.is_away:
            self._outage.set_away(since)
            left = self._outage.left_seconds(since, now)
        if failure.asked_seconds is not None:
            left = max(left, self._outage.left_for_a_wait_seconds(since, now))
        return left

    def _service_down(self, tries: _Tries, reason: str) -> ServiceDown:
        minutes = round((time.monotonic() - tries.since) / 60)
        lasted = f" over {minutes:,} minutes" if self._outage.seconds and minutes else ""
        return ServiceDown(
            f"{self.service} at {self.base_url} gave no usable answer in {tries.number} "
            f"tries{lasted}: {reason}.",
            "run the same command again later; everything done so far is kept",
        )

    def _wait(
        self, tries: int, failure: ReadFailure, longest_seconds: float, is_smaller: bool
    ) -> None:
        asked = failure.asked_seconds
        if asked is not None and asked > longest_seconds:
            when = local_time(time.time() + asked)
            raise ServiceBusy(
                f"{self.service} asks for a wait until {when} ({failure.message}).",
                "run the same command again then; everything done so far is kept",
            )
        # Jitter, so that clients that were throttled together do not return together.
        wait = backoff_seconds(tries) * random.uniform(0.5, 1.0)
        if is_smaller:
            wait = min(wait, LONGEST_WAIT_FOR_A_SMALLER_PAGE_SECONDS)
        wait = wait if asked is None else asked + random.uniform(0.0, 0.25)
        smaller = " for a smaller page" if is_smaller else ""
        log.info("%s: %s; retrying%s in %.1f s", self.service, failure.message, smaller, wait)
        self._pause(wait)


def _request(headers: Headers, params: Mapping[str, str] | None, payload: Any) -> dict[str, Any]:
    if payload is None:
        return {"headers": headers, "params": params, "body": None}
    headers = {**headers, "Content-Type": "application/json"}
    return {"headers": headers, "params": params, "body": json.dumps(payload).encode()}


def _for_rows(value: Any, rows: int) -> Any:
    return value(rows) if callable(value) else value


def _now() -> float:
    return time.time()
