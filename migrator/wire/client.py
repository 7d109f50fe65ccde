"""
Reads that may be repeated, and sends that may not.

It turns what a read was answered into an error in words, or gives the answer; what a send was
answered it only classifies.
"""

import ipaddress
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from migrator.errors import (
    Declined,
    Forbidden,
    MigratorError,
    NotFound,
    ServiceBusy,
    ServiceDown,
    Unauthorized,
)
from migrator.pacing import Patience, Window, backoff_seconds
from migrator.printable import local_time
from migrator.states import Outcome
from migrator.wire.answers import (
    Allowance,
    Reply,
    Sent,
    allowance,
    classify,
    error_type,
    excerpt,
    passes,
    support_mark,
    wait_asked_seconds,
)
from migrator.wire.transport import Transport, Unanswered, Undelivered

MAX_TRIES = 7
# A service that says so is there, and says for how long not.
THROTTLED = 429
# Longer than this nobody watches a terminal; the run stops, resumable, and says until when.
LONGEST_WAIT_SECONDS = 300.0
# A page of a hundred contacts, every property as long as HubSpot takes it, stays below; a send is
# answered with the one lead. Both are held in memory, the second one by every worker.
LONGEST_PAGE_BYTES = 128 << 20
LONGEST_RECEIPT_BYTES = 16 << 20

log = logging.getLogger("migrator.wire")

Headers = Mapping[str, str]


@dataclass(frozen=True)
class _Trouble:
    """
    Why a try of a read came to nothing, although another one may not.

    Args:
        asked_seconds: How long the service asks to wait; `None` = it does not say.
        is_away: Whether it may not be there at all; one that throttles is, and where this machine
            has no socket to spare nobody knows.
    """

    words: str
    asked_seconds: float | None = None
    is_away: bool = True

    @classmethod
    def of(cls, found: "Reply | Undelivered | Unanswered") -> "_Trouble":
        """What a try came to."""
        if not isinstance(found, Reply):
            is_ours = isinstance(found, Undelivered) and found.is_ours
            return cls(str(found), is_away=not is_ours)
        asked = wait_asked_seconds(found, _now())
        return cls(_told(found), asked, is_away=found.status != THROTTLED)


class Wire:
    """
    The way to one service.

    Args:
        service: Its name, for messages.
        base_url: Without a trailing slash. Nothing is ever sent elsewhere.
        timeout_seconds: How long an answer may take.
        pause: Sleeps for so many seconds, or raises when the user wants to stop.
        patience: How long it may be away; `None` = no longer than `MAX_TRIES` take.
    """

    def __init__(
        self,
        service: str,
        base_url: str,
        *,
        timeout_seconds: float,
        pause: Callable[[float], None] = time.sleep,
        patience: Patience | None = None,
    ) -> None:
        self.service = service
        self.base_url = base_url
        self._pause = pause
        self._patience = patience or Patience()
        # A proxy has no business with a service on this machine.
        self._transport = Transport(timeout_seconds, use_environment=not is_loopback(base_url))

    def read(
        self,
        method: str,
        path: str,
        *,
        headers: Headers,
        params: Mapping[str, str] | None = None,
        payload: Any = None,
        hopeless: Callable[[Reply], MigratorError | None] = lambda reply: None,
        window: Window | None = None,
        is_patient: bool = True,
    ) -> Reply:
        """
        Ask something that may be asked again: back-off with jitter, a bounded number of times, or
        for as long as patience lasts with a service that is away.

        Args:
            payload: JSON to send along; `None` = no body.
            hopeless: Tells a passing failure that will not pass soon: the error to raise.
            window: The limit that each try keeps to, and learns of.
            is_patient: Whether a service that is away is waited for at all.

        Raises:
            Declined: the service said no (401, 403 and 404 as their own classes).
            ServiceDown: it could not be reached, or kept failing.
            ServiceBusy: it asks to wait for longer than `LONGEST_WAIT_SECONDS`, and than patience
                lasts.
        """
        body = None if payload is None else json.dumps(payload).encode()
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
        tries, refusals, since = 0, 0, time.monotonic()
        while True:
            tries += 1
            found = self._try(window, method, path, headers=headers, params=params, body=body)
            if isinstance(found, Reply) and not passes(found.status):
                return self._accepted(found, path)
            if isinstance(found, Reply) and (error := hopeless(found)) is not None:
                raise error
            trouble = _Trouble.of(found)
            # One that comes back may be busy: what came before does not count against it.
            refusals = 0 if trouble.is_away else refusals + 1
            left = self._patience_left_seconds(since, trouble) if is_patient else 0.0
            if left == 0 and (refusals or tries) >= MAX_TRIES:
                raise self._down(tries, since, trouble.words)
            self._wait(tries, trouble, max(left, LONGEST_WAIT_SECONDS))

    def send(
        self,
        path: str,
        body: bytes,
        *,
        headers: Headers,
        created_id: Callable[[Mapping[str, Any]], str | None],
    ) -> Sent:
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
        except Undelivered as failure:
            return Sent(Outcome.UNSENT, answer=str(failure))
        except Unanswered as failure:
            return Sent(None, answer=str(failure))
        if reply.status < 500:
            self._patience.answered()
        found = created_id(reply.data)
        outcome = classify(reply, found)
        return Sent(
            outcome,
            reply.status,
            None if outcome is Outcome.CREATED else excerpt(reply.body),
            found if outcome is Outcome.CREATED else None,
            error_type(reply),
            wait_asked_seconds(reply, _now()),
            allowance(reply, _now()),
        )

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _try(
        self, window: Window | None, method: str, path: str, **request: Any
    ) -> "Reply | Undelivered | Unanswered":
        """One try of a read: what it was answered, or why it was not."""
        request["longest_bytes"] = LONGEST_PAGE_BYTES
        try:
            return self._exchange_within(window, method, path, **request)
        except (Undelivered, Unanswered) as failure:
            return failure

    def _exchange_within(
        self, window: Window | None, method: str, path: str, **request: Any
    ) -> Reply:
        if window is None:
            return self._exchange(method, path, **request)
        while wait := window.claim(time.monotonic()):
            self._pause(wait)
        told = Allowance()
        try:
            reply = self._exchange(method, path, **request)
            told = allowance(reply, _now())
            return reply
        finally:
            window.end(time.monotonic(), told.limit, told.remaining, told.reset_in_seconds)

    def _exchange(self, method: str, path: str, **request: Any) -> Reply:
        began = time.monotonic()
        try:
            reply = self._transport.exchange(method, self.base_url + path, **request)
        except (Undelivered, Unanswered) as failure:
            log.debug("%s %s: %s (%s)", method, path, type(failure).__name__.lower(), failure)
            raise
        # Neither headers, parameters nor bodies: those hold tokens and people.
        took_ms = (time.monotonic() - began) * 1000
        log.debug("%s %s: %s in %.0f ms", method, path, reply.status, took_ms)
        return reply

    def _patience_left_seconds(self, since: float, trouble: _Trouble) -> float:
        """For how long yet to ask a service that has been away, or busy, since then."""
        now, left = time.monotonic(), 0.0
        if trouble.is_away:
            self._patience.missed(since)
            left = self._patience.left_seconds(since, now)
        if trouble.asked_seconds is not None:
            left = max(left, self._patience.left_for_a_wait_seconds(since, now))
        return left

    def _down(self, tries: int, since: float, trouble: str) -> ServiceDown:
        minutes = round((time.monotonic() - since) / 60)
        lasted = f" over {minutes:,} minutes" if self._patience.seconds and minutes else ""
        return ServiceDown(
            f"{self.service} at {self.base_url} gave no good answer in {tries} tries{lasted}: "
            f"{trouble}.",
            "run the same command again later; everything done so far is kept",
        )

    def _wait(self, tries: int, trouble: "_Trouble", longest: float) -> None:
        asked = trouble.asked_seconds
        if asked is not None and asked > longest:
            when = local_time(time.time() + asked)
            raise ServiceBusy(
                f"{self.service} asks to be left alone until {when} ({trouble.words}).",
                "run the same command again then; everything done so far is kept",
            )
        # Jitter: many clients that were turned away together must not come back together.
        wait = backoff_seconds(tries) * random.uniform(0.5, 1.0)
        wait = wait if asked is None else asked + random.uniform(0.0, 0.25)
        log.info("%s: %s; trying again in %.1f s", self.service, trouble.words, wait)
        self._pause(wait)

    def _accepted(self, reply: Reply, path: str) -> Reply:
        if 200 <= reply.status < 300:
            if reply.data:
                self._patience.answered()
                return reply
            raise ServiceDown(
                # Not quoted: an answer to a login may repeat what the login said.
                f"{self.service} at {self.base_url} answered {path} with something that is no "
                "JSON object.",
                "check the base URL: a login page or a proxy may stand in between",
            )
        raise self._declined(reply, path)

    def _declined(self, reply: Reply, path: str) -> MigratorError:
        if 300 <= reply.status < 400:
            return Declined(
                f"{self.service} at {self.base_url} redirects {path} elsewhere; "
                "credentials are sent to no other host than the configured one.",
                "set the base URL to where the service is now",
                status=reply.status,
            )
        kind = {401: Unauthorized, 403: Forbidden, 404: NotFound}.get(reply.status, Declined)
        return kind(
            f"{self.service} declined {path} with {reply.status}: "
            f"{excerpt(reply.body) or 'no reason given'}{support_mark(reply.data)}",
            "check the credentials and the base URL",
            reply.data,
            reply.status,
        )


def is_loopback(url: str) -> bool:
    """Whether a URL points at this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _told(reply: Reply) -> str:
    """What it answered, with what its support will ask for."""
    return f"it answered {reply.status}{support_mark(reply.data)}"


def _now() -> float:
    return time.time()
