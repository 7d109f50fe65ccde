"""
The HTTP client of one service: reads that may be repeated, and sends that may not.

A read returns its answer, or raises an error with a message for the user. A send returns what its
answer proves.
"""

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from migrator.http.failures import ErrorCheck, ReadFailure, ReadRequest, TryResult, no_error
from migrator.http.outage import OutageBudget
from migrator.http.page_size import PageSize
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
from migrator.http.retries import MAX_TRIES, Retries
from migrator.http.transport import NeverSent, ResponseLost, Transport
from migrator.loopback import is_loopback
from migrator.rate_limit import RequestWindow
from migrator.states import Outcome

# A page of a hundred contacts is smaller, even with every property as long as HubSpot allows. The
# answer to a send holds one lead; each worker keeps one in memory.
LONGEST_PAGE_BYTES = 128 << 20
LONGEST_SEND_ANSWER_BYTES = 16 << 20

log = logging.getLogger("migrator.http")

Headers = Mapping[str, str]


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

        shared = (self.service, self.base_url, self._outage, self._pause)
        return Retries(*shared, most_tries, is_patient).run(attempt, size)

    def send(
        self,
        path: str,
        body: bytes | None,
        *,
        headers: Headers,
        created_id: Callable[[Mapping[str, Any]], str | None],
        may_leave: Callable[[], None],
        method: str = "POST",
        params: Mapping[str, str] | None = None,
        success: Outcome = Outcome.CREATED,
    ) -> SendOutcome:
        """
        Make a request that must not be repeated, exactly once.

        Args:
            body: JSON; `None` = none.
            created_id: What of the answer proves `success`, such as the id of the created object;
                `None` = nothing does.
            may_leave: Called at the last moment before the first byte, once connected; what it
                raises is raised here, and nothing was sent.
        """
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
        try:
            response = self._exchange(
                method,
                path,
                headers=headers,
                params=params,
                body=body,
                longest_bytes=LONGEST_SEND_ANSWER_BYTES,
                may_leave=may_leave,
            )
        except NeverSent as failure:
            return SendOutcome(Outcome.UNSENT, answer=str(failure))
        except ResponseLost as failure:
            return SendOutcome(None, answer=str(failure))
        if response.status < 500:
            self._outage.answered(time.monotonic())
        found = created_id(response.data)
        outcome = classify(response, found, success)
        is_done = outcome is success
        return SendOutcome(
            outcome,
            response.status,
            None if is_done else excerpt(response.body, self.redactor),
            found if is_done else None,
            _status_of(response) if is_done else None,
            error_type(response),
            wait_asked_seconds(response, time.time()),
            rate_limit_info(response, time.time()),
        )

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _try(
        self, window: RequestWindow | None, method: str, path: str, **request: Any
    ) -> TryResult:
        """Make one try of a read: its answer, or why there is none."""
        while window and (wait := window.claim(time.monotonic())):
            self._pause(wait)
        info = RateLimitInfo()
        try:
            response = self._exchange(method, path, longest_bytes=LONGEST_PAGE_BYTES, **request)
            info = rate_limit_info(response, time.time())
            return response
        except (NeverSent, ResponseLost) as failure:
            return failure
        finally:
            if window:
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


def _status_of(response: Response) -> str | None:
    lead = response.data.get("lead")
    status = lead.get("status") if isinstance(lead, dict) else None
    return status if isinstance(status, str) else None


def _request(headers: Headers, params: Mapping[str, str] | None, payload: Any) -> dict[str, Any]:
    if payload is None:
        return {"headers": headers, "params": params, "body": None}
    headers = {**headers, "Content-Type": "application/json"}
    return {"headers": headers, "params": params, "body": json.dumps(payload).encode()}


def _for_rows(value: Any, rows: int) -> Any:
    return value(rows) if callable(value) else value
