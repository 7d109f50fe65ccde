"""
Reads that may be repeated, and sends that may not.

It turns what a read was answered into an error in words, or gives the answer; what a send was
answered it only classifies.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from migrator.errors import ServiceBusy, ServiceDown
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
# A service that took the credentials before is asked so often again before its "no" is believed.
DENIALS_DOUBTED = 2
# A smaller page is another request: it need not wait as long as the same one once more.
LONGEST_WAIT_FOR_A_SMALLER_PAGE_SECONDS = 8.0
# Longer than this nobody watches a terminal; the run stops, resumable, and says until when.
LONGEST_WAIT_SECONDS = 300.0
# A page of a hundred contacts, every property as long as HubSpot takes it, stays below; a send is
# answered with the one lead. Both are held in memory, the second one by every worker.
LONGEST_PAGE_BYTES = 128 << 20
LONGEST_RECEIPT_BYTES = 16 << 20

log = logging.getLogger("migrator.http")

Headers = Mapping[str, str]


@dataclass
class _Tries:
    """
    The tries of one read so far.

    Args:
        since: When it began, on the monotonic clock.
        refusals: In a row by a service that is there. One that comes back may be busy, so what
            came before does not count against it.
        denials: So often the service said no.
        most: So many are made without patience.
    """

    since: float
    most: int
    number: int = 0
    refusals: int = 0
    denials: int = 0

    def add(self, failure: ReadFailure) -> None:
        """One more came to nothing."""
        self.refusals = 0 if failure.is_away else self.refusals + 1
        self.denials += failure.is_denial

    @property
    def are_enough(self) -> bool:
        """Whether no more are made without patience."""
        return (self.refusals or self.number) >= self.most or self.denials > DENIALS_DOUBTED


class HttpClient:
    """
    The way to one service.

    Args:
        service: Its name, for messages.
        base_url: Without a trailing slash. Nothing is ever sent elsewhere.
        timeout_seconds: How long an answer may take.
        pause: Sleeps for so many seconds, or raises when the user wants to stop.
        outage: How long it may be away; `None` = no longer than `MAX_TRIES` take.

    Attributes:
        redactor: Knows the secrets that travel here; who brings another one tells it.
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
        # A proxy has no business with a service on this machine.
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
        Ask something that may be asked again: back-off with jitter, a bounded number of times, or
        for as long as patience lasts with a service that is away.

        Args:
            params: A function = of the page's size in rows.
            payload: JSON to send along, or a function as above; `None` = no body.
            size: Of the page that is asked for; it shrinks where it may be what fails.
            hopeless, flaw, doubted, is_login: As in `ReadRequest`.
            window: The limit that each try keeps to, and learns of.
            is_patient: Whether a service that is away is waited for at all.
            most_tries: Of a service that is not waited for.

        Raises:
            Declined: the service said no (401, 403 and 404 as their own classes).
            NotReady: it was never reached, for a proxy or a certificate that this machine names.
            ServiceDown: it could not be reached, or kept failing.
            ServiceBusy: it asks to wait for longer than `LONGEST_WAIT_SECONDS`, and than patience
                lasts.
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
            # A larger page may only be too large for it.
            if judged.is_away and not (judged.may_be_size and rows > SMALLEST):
                self._outage.failed(tries.since, time.monotonic())
            self._wait_to_repeat(tries, judged, is_patient, is_smaller)

    def _wait_to_repeat(
        self, tries: _Tries, failure: ReadFailure, is_patient: bool, is_smaller: bool
    ) -> None:
        """Wait, or raise where another try is not worth it."""
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
        Send something that must not be sent twice: exactly one request, whatever comes of it.

        Args:
            body: JSON.
            created_id: Finds the id of what was created in an answer's JSON; `None` = no id.
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
        """One try of a read: what it was answered, or why it was not."""
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
        # Neither headers, parameters nor bodies: those hold tokens and people.
        took_ms = (time.monotonic() - began) * 1000
        log.debug("%s %s: %s in %.0f ms", method, path, reply.status, took_ms)
        return reply

    def _outage_left_seconds(self, since: float, failure: ReadFailure) -> float:
        """For how long yet to ask a service that has been away, or busy, since then."""
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
            "run the same command again later; everything done so far is kept",
        )

    def _wait(self, tries: int, failure: ReadFailure, longest: float, is_smaller: bool) -> None:
        asked = failure.asked_seconds
        if asked is not None and asked > longest:
            when = local_time(time.time() + asked)
            raise ServiceBusy(
                f"{self.service} asks to be left alone until {when} ({failure.words}).",
                "run the same command again then; everything done so far is kept",
            )
        # Jitter: many clients that were turned away together must not come back together.
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
