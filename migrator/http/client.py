"""
The HTTP client of one service: reads that may be repeated, and sends that may not.

A read returns its answer, or raises an error with a message for people. A send returns the
classification of its answer.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from migrator.errors import RunAgain, ServiceBusy, ServiceDown
from migrator.http.failures import Found, Judge, ReadFailure, ReadRequest, no_error
from migrator.http.page_size import SMALLEST, PageSize
from migrator.http.redaction import Redactor, proxy_passwords
from migrator.http.responses import (
    RateLimitInfo,
    Response,
    SendOutcome,
    allowance,
    classify,
    error_type,
    excerpt,
    wait_asked_seconds,
)
from migrator.http.transport import NeverSent, ResponseLost, Transport
from migrator.loopback import is_loopback
from migrator.rate_limit import OutageBudget, RequestWindow, backoff_seconds
from migrator.states import Outcome
from migrator.text import local_time

MAX_TRIES = 7
# If the service accepted the credentials before, a denial is believed after this many repetitions.
DENIALS_DOUBTED = 2
# A smaller page is a different request, which need not wait as long as a retry of the same one.
LONGEST_WAIT_FOR_A_SMALLER_PAGE_SECONDS = 8.0
# For a longer wait than this the run stops, resumable, and says until when.
LONGEST_WAIT_SECONDS = 300.0
# A page of a hundred contacts, with every property as long as HubSpot allows, is smaller; the
# answer to a send holds one lead. Both are held in memory, the second one by every worker.
LONGEST_PAGE_BYTES = 128 << 20
LONGEST_RECEIPT_BYTES = 16 << 20

log = logging.getLogger("migrator.http")

Headers = Mapping[str, str]


@dataclass
class _Tries:
    """
    The tries of one read so far.

    Args:
        since: When the read began, on the monotonic clock.
        refusals: Failures in a row by a service that is there. It may be busy after an outage, so
            the tries during the outage do not count.
        denials: How often the service denied the request.
        most: How many tries to make if the service is not waited for.
    """

    since: float
    most: int
    number: int = 0
    refusals: int = 0
    denials: int = 0

    def add(self, failure: ReadFailure) -> None:
        """Count a failed try."""
        self.refusals = 0 if failure.is_away else self.refusals + 1
        self.denials += failure.is_denial

    @property
    def are_enough(self) -> bool:
        """Whether these are all tries, unless the service is waited for."""
        return (self.refusals or self.number) >= self.most or self.denials > DENIALS_DOUBTED


class HttpClient:
    """
    The HTTP client of one service. Any thread may use it.

    Args:
        service: The name of the service, for messages.
        base_url: Without a trailing slash. Nothing is ever sent elsewhere.
        timeout_seconds: How long to wait for an answer.
        pause: Sleeps for so many seconds, or raises when the user wants to stop.
        outage: How long the service may be away; `None` = as long as `MAX_TRIES` take.

    Attributes:
        redactor: Knows the secrets of this service; callers add those that they send.
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
        hopeless: Judge = no_error,
        flaw: Judge = no_error,
        doubted: Collection[int] = (),
        is_login: bool = False,
        window: RequestWindow | None = None,
        is_patient: bool = True,
        most_tries: int = MAX_TRIES,
    ) -> Response:
        """
        Make a request that may be repeated, with back-off and jitter.

        It is retried a bounded number of times, or for as long as the outage budget lasts while the
        service is away.

        Args:
            params: The query, or a function from the page size in rows to the query.
            payload: The JSON body, or a function as above; `None` = no body.
            size: The size of the requested page; it shrinks if it may be the cause of a failure.
            hopeless, flaw, doubted, is_login: As in `ReadRequest`.
            window: The rolling limit that each try keeps to, and that learns from its answer.
            is_patient: Whether to wait for a service that is away.
            most_tries: The number of tries if the service is not waited for.

        Raises:
            Declined: the service denied the request (401, 403 and 404 have their own classes).
            NotReady: never reached, because of a proxy or certificate setting of this machine.
            ServiceDown: the service could not be reached, or kept failing.
            ServiceBusy: the service asks for a wait that is longer than `LONGEST_WAIT_SECONDS` and
                than the outage budget.
        """
        asked = ReadRequest(
            self.service, self.base_url, path, self.redactor, hopeless, flaw, doubted, is_login
        )
        tries = _Tries(time.monotonic(), most_tries)
        while True:
            tries.number += 1
            rows = size.rows if size else 0
            request = _request(headers, _sized(params, rows), _sized(payload, rows))
            judged = asked.judge(self._try(window, method, path, **request))
            if isinstance(judged, Response):
                self._outage.answered(time.monotonic())
                if size:
                    size.served(rows)
                return judged
            is_smaller = bool(size and judged.may_be_size and size.failed(rows))
            # A larger page may only be too large, which is no outage.
            if judged.is_away and not (judged.may_be_size and rows > SMALLEST):
                self._outage.failed(tries.since, time.monotonic())
            self._wait_to_repeat(tries, judged, is_patient, is_smaller)

    def _wait_to_repeat(
        self, tries: _Tries, failure: ReadFailure, is_patient: bool, is_smaller: bool
    ) -> None:
        """Wait before the next try, or raise if there is none."""
        if failure.fault is not None and not self._outage.is_earned:
            raise failure.fault
        tries.add(failure)
        is_waited_for = is_patient and not failure.is_final
        left = self._outage_left_seconds(tries.since, failure) if is_waited_for else 0.0
        if failure.is_final or (left == 0 and tries.are_enough and not is_smaller):
            raise failure.error or self._down(tries, failure.words)
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
        Make a request that must not be repeated: exactly one, whatever its result.

        Args:
            body: JSON.
            created_id: Gets the id of the created object from the JSON of an answer; `None` = no
                id.
        """
        headers = {**headers, "Content-Type": "application/json"}
        try:
            reply = self._exchange(
                "POST", path, headers=headers, body=body, longest_bytes=LONGEST_RECEIPT_BYTES
            )
        except NeverSent as failure:
            return SendOutcome(Outcome.UNSENT, answer=str(failure))
        except ResponseLost as failure:
            return SendOutcome(None, answer=str(failure))
        if reply.status < 500:
            self._outage.answered(time.monotonic())
        found = created_id(reply.data)
        outcome = classify(reply, found)
        return SendOutcome(
            outcome,
            reply.status,
            None if outcome is Outcome.CREATED else excerpt(reply.body, self.redactor),
            found if outcome is Outcome.CREATED else None,
            error_type(reply),
            wait_asked_seconds(reply, _now()),
            allowance(reply, _now()),
        )

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _try(self, window: RequestWindow | None, method: str, path: str, **request: Any) -> Found:
        """One try of a read: its answer, or why there is none."""
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
        told = RateLimitInfo()
        try:
            reply = self._exchange(method, path, **request)
            told = allowance(reply, _now())
            return reply
        finally:
            window.end(time.monotonic(), told.limit, told.remaining, told.reset_in_seconds)

    def _exchange(self, method: str, path: str, **request: Any) -> Response:
        began = time.monotonic()
        try:
            reply = self._transport.exchange(method, self.base_url + path, **request)
        except (NeverSent, ResponseLost) as failure:
            log.debug("%s %s: %s (%s)", method, path, type(failure).__name__.lower(), failure)
            raise
        # No headers, parameters or bodies: those hold tokens and personal data.
        took_ms = (time.monotonic() - began) * 1000
        log.debug("%s %s: %s in %.0f ms", method, path, reply.status, took_ms)
        return reply

    def _outage_left_seconds(self, since: float, failure: ReadFailure) -> float:
        """How much longer to retry a service that has been away or busy since this time."""
        now, left = time.monotonic(), 0.0
        if failure.is_away:
            self._outage.missed(since)
            left = self._outage.left_seconds(since, now)
        if failure.asked_seconds is not None:
            left = max(left, self._outage.left_for_a_wait_seconds(since, now))
        return left

    def _down(self, tries: _Tries, words: str) -> ServiceDown:
        minutes = round((time.monotonic() - tries.since) / 60)
        lasted = f" over {minutes:,} minutes" if self._outage.seconds and minutes else ""
        return ServiceDown(
            f"{self.service} at {self.base_url} gave no good answer in {tries.number} "
            f"tries{lasted}: {words}.",
            RunAgain(after=" later; everything done so far is kept"),
        )

    def _wait(self, tries: int, failure: ReadFailure, longest: float, is_smaller: bool) -> None:
        asked = failure.asked_seconds
        if asked is not None and asked > longest:
            when = local_time(time.time() + asked)
            raise ServiceBusy(
                f"{self.service} asks to be left alone until {when} ({failure.words}).",
                RunAgain(after=" then; everything done so far is kept"),
            )
        # Jitter: clients that were throttled together must not return together.
        wait = backoff_seconds(tries) * random.uniform(0.5, 1.0)
        if is_smaller:
            wait = min(wait, LONGEST_WAIT_FOR_A_SMALLER_PAGE_SECONDS)
        wait = wait if asked is None else asked + random.uniform(0.0, 0.25)
        smaller = " for a smaller page" if is_smaller else ""
        log.info("%s: %s; asking again%s in %.1f s", self.service, failure.words, smaller, wait)
        self._pause(wait)


def _request(headers: Headers, params: Mapping[str, str] | None, payload: Any) -> dict[str, Any]:
    if payload is None:
        return {"headers": headers, "params": params, "body": None}
    headers = {**headers, "Content-Type": "application/json"}
    return {"headers": headers, "params": params, "body": json.dumps(payload).encode()}


def _sized(value: Any, rows: int) -> Any:
    return value(rows) if callable(value) else value


def _now() -> float:
    return time.time()
