"""
What an answer proves: pure functions of its status, headers and body.

Only this module classifies the answers to sends (design, I2).
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
# Without a `Date` header, a reset time is compared with our clock, which may be hours off. Longer
# waits are then ignored; if the service meant them, it throttles again.
LONGEST_RESET_BY_OUR_CLOCK_SECONDS = 300.0
# A reset time further back than an answer may be late was no time, but perhaps a number of seconds.
LONGEST_PAST_RESET_SECONDS = 300.0
# Longer waits and larger limits than these are taken for errors of the service.
LONGEST_POSSIBLE_WAIT_SECONDS = 366 * 86_400.0
LARGEST_POSSIBLE_NUMBER = 1e12


@dataclass(frozen=True)
class Response:
    """
    A complete HTTP response.

    Args:
        headers: By lower-case name.
        body: Decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def data(self) -> dict[str, Any]:
        """The JSON object in the body; `{}` if it is anything else."""
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}


@dataclass(frozen=True)
class RateLimitInfo:
    """
    The rate-limit headers of an answer; `None` = not stated.

    Args:
        limit: Requests per window.
        remaining: Requests left in this window.
        reset_in_seconds: Time until the next window.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_in_seconds: float | None = None


@dataclass(frozen=True)
class SendOutcome:
    """
    The result of a send.

    Args:
        outcome: What is proven about the created object; `None` = in doubt.
        status: The HTTP status; `None` = no answer.
        answer: An excerpt without control characters and secrets; `None` on success.
        created_id: The id of the created object, or of the changed one.
        created_status: The `status` of the created object, where the answer shows it.
        error_type: The service's code for the error; `None` = it has none.
        retry_after_seconds: How long the service asks to wait; `None` = not stated.
        rate_limit_info: The rate-limit headers.
    """

    outcome: Outcome | None
    status: int | None = None
    answer: str | None = None
    created_id: str | None = None
    created_status: str | None = None
    error_type: str | None = None
    retry_after_seconds: float | None = None
    rate_limit_info: RateLimitInfo = RateLimitInfo()

    @property
    def is_unauthorized(self) -> bool:
        """Whether only the token was rejected, so the same send may be made with a new token."""
        return self.status == 401

    @property
    def is_payload_error(self) -> bool:
        """
        Whether the service read the payload and answered that it is wrong or in conflict.

        LeadGenius answers 500 to some bad payloads (guide, bugs 3, 4 and 6), and to failures of its
        own: only a second 500 to such a payload tells much.
        """
        return self.outcome is Outcome.REFUSED or self.status in (409, 500)


# The statuses that prove that nothing was written. All others without a proof are in doubt: every
# 5xx (LeadGenius answers 500 to bad payloads and to real failures alike), 409, redirects, and a 2xx
# that cannot be read.
_NOTHING_WRITTEN = {
    400: Outcome.REFUSED,
    413: Outcome.REFUSED,
    422: Outcome.REFUSED,
    401: Outcome.DENIED,
    403: Outcome.DENIED,
    404: Outcome.DENIED,
    429: Outcome.THROTTLED,
}


def classify(
    response: Response, proof: str | None, success: Outcome = Outcome.CREATED
) -> Outcome | None:
    """
    Classify the answer to a write by the table of design I2; `None` = in doubt.

    A refusal is final only if it comes from the service itself. A proxy or firewall may answer with
    the same status and a page of its own, and let the same request through later. That there is no
    such object refuses an update, and is what a delete wants.

    Args:
        proof: What a 2xx has to show: an id; `None` = it does not show it.
        success: What it proves then.
    """
    if 200 <= response.status < 300:
        return success if proof else None
    outcome = _NOTHING_WRITTEN.get(response.status)
    if response.status == 404 and success is not Outcome.CREATED and _is_own(response):
        return Outcome.DELETED if success is Outcome.DELETED else Outcome.REFUSED
    return Outcome.DENIED if outcome is Outcome.REFUSED and not _is_own(response) else outcome


def _is_own(response: Response) -> bool:
    data = response.data
    return "error" in data or "errorType" in data or data.get("success") is False


def error_type(response: Response) -> str | None:
    """The service's code for the error."""
    found = response.data.get("errorType")
    return found if isinstance(found, str) and found else None


# Statuses after which the same read may succeed a little later: locked, throttled, HubSpot's
# migration (477), and servers or proxies that are down for a moment.
_TEMPORARY = frozenset({408, 423, 425, 429, 477, 500, 502, 503, 504, 520, 521, 522, 523, 524})


def is_temporary(status: int) -> bool:
    """Whether a read with this status is worth repeating."""
    return status in _TEMPORARY


def wait_asked_seconds(response: Response, now: float) -> float | None:
    """
    How long the service asks to wait; `None` = not stated.

    Args:
        now: Seconds since the epoch, for a date in `Retry-After` without a `Date` header.
    """
    after = _retry_after(response, now)
    if after is not None:
        return after
    if response.status == 423:
        return 2.0  # HubSpot's documentation: at least two seconds
    if response.status == 429:
        # HubSpot does not promise `Retry-After`, but states its rolling window.
        interval = _number(response.headers.get("x-hubspot-ratelimit-interval-milliseconds"))
        return None if interval is None else interval / 1000
    return None


def _retry_after(response: Response, now: float) -> float | None:
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    if _is_number(value):
        return _plausible(_number(value))
    try:
        asked = parsedate_to_datetime(value).timestamp() - _service_time(response, now)
    except (ValueError, TypeError, OverflowError):
        return None
    return _plausible(max(0.0, asked))


def _plausible(seconds: float | None) -> float | None:
    """The wait, unless it is too long to be meant."""
    return seconds if seconds is not None and seconds <= LONGEST_POSSIBLE_WAIT_SECONDS else None


def rate_limit_info(response: Response, now: float) -> RateLimitInfo:
    """The rate-limit headers of an answer, in the spellings of both services."""
    headers = response.headers
    limit = _number(headers.get("x-ratelimit-limit") or headers.get("x-hubspot-ratelimit-max"))
    remaining = _number(
        headers.get("x-ratelimit-remaining") or headers.get("x-hubspot-ratelimit-remaining")
    )
    reset = _number(headers.get("x-ratelimit-reset"))
    interval = _number(headers.get("x-hubspot-ratelimit-interval-milliseconds"))
    if reset is not None:
        reset = _reset_in(response, reset, now)
    elif interval is not None:
        reset = interval / 1000
    return RateLimitInfo(
        int(limit) if limit and limit >= 1 else None,
        None if remaining is None else int(remaining),
        _plausible(reset),
    )


def _reset_in(response: Response, reset: float, now: float) -> float | None:
    left = reset - _service_time(response, now)
    is_sure = _date_header(response) is not None or left <= LONGEST_RESET_BY_OUR_CLOCK_SECONDS
    return max(0.0, left) if is_sure and left >= -LONGEST_PAST_RESET_SECONDS else None


def _service_time(response: Response, now: float) -> float:
    its_time = _date_header(response)
    return now if its_time is None else its_time


def _date_header(response: Response) -> float | None:
    """The time by the service's clock, which its dates refer to; ours may be hours off."""
    try:
        return parsedate_to_datetime(response.headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _number(value: str | None) -> float | None:
    """A number that can be a limit or a time, so not negative; `None` = it is not one."""
    if not value or not _is_number(value):
        return None
    number = float(value)
    return number if 0 <= number < LARGEST_POSSIBLE_NUMBER else None  # excludes NaN


# HubSpot's are UUIDs. Other values are not shown.
_CORRELATION_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


def correlation_note(data: Mapping[str, Any]) -> str:
    """The id by which HubSpot's support can find a request, to append to a message; or ""."""
    found = data.get("correlationId")
    is_one = isinstance(found, str) and _CORRELATION_ID.fullmatch(found)
    return f" (correlation id {found})" if is_one else ""


# Only this much of an answer is read for an excerpt: an HTML page may be megabytes long.
_EXCERPTED_BYTES = 1 << 16


def excerpt(body: bytes, redactor: Redactor) -> str:
    """The beginning of an answer on one line, without secrets, safe to store and to show."""
    # Redacted first: a secret may contain spaces, or be where the text is cut.
    text = redactor.text(body[:_EXCERPTED_BYTES].decode("utf-8", "replace"))
    printable = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    return " ".join(printable.split())[:EXCERPT_CHARACTERS]
