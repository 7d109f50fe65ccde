"""
What an answer proves: pure functions from a status, headers and a body to facts.

The table of design I2 stands here and nowhere else.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from migrator.http.redaction import Redactor
from migrator.states import Outcome

EXCERPT_CHARACTERS = 300
# Without the service's own clock there is only ours, which may be hours off. No longer pause is
# built on that; a service that means more says "not now" once more.
LONGEST_RESET_BY_OUR_CLOCK_SECONDS = 300.0
# What asks for more than a year is no time to wait for, and what counts beyond this no limit.
LONGEST_POSSIBLE_WAIT_SECONDS = 366 * 86_400.0
LARGEST_POSSIBLE_NUMBER = 1e12


@dataclass(frozen=True)
class Response:
    """
    A complete answer.

    Args:
        status: HTTP.
        headers: By lower-case name.
        body: As received, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def data(self) -> dict[str, Any]:
        """The JSON object in the body; `{}` when it is anything else."""
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}


@dataclass(frozen=True)
class RateLimitInfo:
    """
    What a service says of its rate limit; `None` = it does not say.

    Args:
        limit: Requests a window.
        remaining: Requests left in this window.
        reset_in_seconds: Until the next window.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_in_seconds: float | None = None


@dataclass(frozen=True)
class SendOutcome:
    """
    What is known after a send.

    Args:
        outcome: One that proves whether something was created; `None` = in doubt.
        status: HTTP; `None` = there was no answer.
        answer: Excerpt for people, cleaned of control characters and secrets; `None` on success.
        created_id: The id of what was created.
        error_type: The service's own word for why it said no; `None` = it has none.
        retry_after_seconds: As the service asks; `None` = it does not.
        allowance: What the answer said of the rate limit.
    """

    outcome: Outcome | None
    status: int | None = None
    answer: str | None = None
    created_id: str | None = None
    error_type: str | None = None
    retry_after_seconds: float | None = None
    allowance: RateLimitInfo = RateLimitInfo()

    @property
    def is_unauthorized(self) -> bool:
        """Whether it failed for a token only: with a new one, the same send may go again."""
        return self.status == 401


# What proves that nothing was created. Everything else without an id is in doubt: every 5xx
# (LeadGenius answers 500 to bad payloads and to real failures alike), 409, redirects, and a 2xx
# that cannot be read.
_NOTHING_CREATED = {
    400: Outcome.REFUSED,
    413: Outcome.REFUSED,
    422: Outcome.REFUSED,
    401: Outcome.DENIED,
    403: Outcome.DENIED,
    404: Outcome.DENIED,
    429: Outcome.THROTTLED,
}


def classify(reply: Response, created_id: str | None) -> Outcome | None:
    """
    The table of answers; `None` = in doubt (design, I2).

    A refusal is final only in the service's own words: a proxy or a firewall says the same statuses
    with pages of its own, and what it turns away once it may let through later.
    """
    if 200 <= reply.status < 300:
        return Outcome.CREATED if created_id else None
    outcome = _NOTHING_CREATED.get(reply.status)
    return Outcome.DENIED if outcome is Outcome.REFUSED and not _is_own(reply) else outcome


def _is_own(reply: Response) -> bool:
    return "error" in reply.data or "errorType" in reply.data or reply.data.get("success") is False


def error_type(reply: Response) -> str | None:
    """The service's own word for why it said no."""
    found = reply.data.get("errorType")
    return found if isinstance(found, str) and found else None


# Statuses after which the same read may work a little later: locked, throttled, HubSpot's
# migration (477), and the ways of servers and their proxies to be down for a moment.
_PASSING = frozenset({408, 423, 425, 429, 477, 500, 502, 503, 504, 520, 521, 522, 523, 524})


def passes(status: int) -> bool:
    """Whether a read that was answered so is worth repeating."""
    return status in _PASSING


def wait_asked_seconds(reply: Response, now: float) -> float | None:
    """
    How long the service asks to wait; `None` = it does not say.

    Args:
        now: Seconds since the epoch, for a date in `Retry-After` from a service without a clock.
    """
    after = _retry_after(reply, now)
    if after is not None:
        return after
    if reply.status == 423:
        return 2.0  # HubSpot's documentation: at least two seconds
    if reply.status == 429:
        # HubSpot promises no Retry-After, but names the window that rolls.
        interval = _number(reply.headers.get("x-hubspot-ratelimit-interval-milliseconds"))
        return None if interval is None else interval / 1000
    return None


def _retry_after(reply: Response, now: float) -> float | None:
    value = reply.headers.get("retry-after", "").strip()
    if not value:
        return None
    if _is_number(value):
        return _possible(_number(value))
    try:
        asked = parsedate_to_datetime(value).timestamp() - _service_time(reply, now)
    except (ValueError, TypeError, OverflowError):
        return None
    return _possible(max(0.0, asked))


def _possible(seconds: float | None) -> float | None:
    """A wait that somebody may have meant."""
    return seconds if seconds is not None and seconds <= LONGEST_POSSIBLE_WAIT_SECONDS else None


def allowance(reply: Response, now: float) -> RateLimitInfo:
    """What the answer says of the rate limit, in the services' two spellings of the headers."""
    headers = reply.headers
    limit = _number(headers.get("x-ratelimit-limit") or headers.get("x-hubspot-ratelimit-max"))
    remaining = _number(
        headers.get("x-ratelimit-remaining") or headers.get("x-hubspot-ratelimit-remaining")
    )
    reset = _number(headers.get("x-ratelimit-reset"))
    interval = _number(headers.get("x-hubspot-ratelimit-interval-milliseconds"))
    if reset is not None:
        reset = _reset_in(reply, reset, now)
    elif interval is not None:
        reset = interval / 1000
    return RateLimitInfo(
        int(limit) if limit and limit >= 1 else None,
        None if remaining is None else int(remaining),
        _possible(reset),
    )


def _reset_in(reply: Response, reset: float, now: float) -> float | None:
    left = max(0.0, reset - _service_time(reply, now))
    is_sure = _its_time(reply) is not None or left <= LONGEST_RESET_BY_OUR_CLOCK_SECONDS
    return left if is_sure else None


def _service_time(reply: Response, now: float) -> float:
    its_time = _its_time(reply)
    return now if its_time is None else its_time


def _its_time(reply: Response) -> float | None:
    """The service's own clock: ours may be hours off, and its dates are told by its own."""
    try:
        return parsedate_to_datetime(reply.headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _number(value: str | None) -> float | None:
    """A number that can be a limit or a time; neither is negative."""
    if not value or not _is_number(value):
        return None
    number = float(value)
    return number if 0 <= number < LARGEST_POSSIBLE_NUMBER else None  # not a NaN either


# HubSpot's are UUIDs. Whatever else came under that name is not to be shown.
_CORRELATION_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


def support_mark(data: Mapping[str, Any]) -> str:
    """What HubSpot's support finds a request by, to be read after what was answered; or ""."""
    found = data.get("correlationId")
    is_one = isinstance(found, str) and _CORRELATION_ID.fullmatch(found)
    return f" (correlation id {found})" if is_one else ""


# An excerpt is made of no more: what is only spaces may be long, and a page of HTML megabytes.
_LOOKED_AT_BYTES = 1 << 16


def excerpt(body: bytes, redactor: Redactor) -> str:
    """The beginning of an answer, safe to store and to show: one line, no secrets."""
    # Redacted first: a secret may hold blanks, or stand where the text is cut.
    text = redactor.text(body[:_LOOKED_AT_BYTES].decode("utf-8", "replace"))
    printable = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    return " ".join(printable.split())[:EXCERPT_CHARACTERS]
