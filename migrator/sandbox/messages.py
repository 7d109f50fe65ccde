"""An HTTP exchange in the sandbox: the received call, the answer, page cursors."""

import base64
import binascii
import enum
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Lead = dict[str, Any]


class ConnectionEnd(enum.Enum):
    """What happens to the connection after an answer."""

    KEEP = "keep"  # answer whole, keep the connection
    DROP = "drop"  # close without a byte
    RESET = "reset"  # close with RST instead of FIN
    HANG = "hang"  # say nothing until the client leaves or the sandbox stops
    TRUNCATE = "truncate"  # promise more bytes than are sent, then close


@dataclass(slots=True)
class Call:
    """
    A received request.

    Args:
        at: When its last byte arrived, in seconds since the epoch.
        query: Decoded; the values of a repeated key are joined by commas.
        headers: Names in lower case.
        lead: The parsed body of a POST or PUT of `/api/leads`, if it is a JSON object.
    """

    at: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    number: int = -1
    lead: Lead | None = None
    fault: str | None = None
    lead_id: str | None = None
    status: int | None = None

    def json(self) -> Any:
        """The parsed body; None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Answer:
    """
    An answer, and how the connection continues.

    Args:
        delay_seconds: The wait before anything is sent; the data is saved before it.
        later: Called after the delay, for effects after the client has given up.
        decide: Called after the delay with whether the client has closed the connection; what it
            returns is answered instead.
    """

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    ending: ConnectionEnd = ConnectionEnd.KEEP
    delay_seconds: float = 0.0
    later: Callable[[], object] | None = field(default=None, compare=False)
    decide: "Callable[[bool], Answer] | None" = field(default=None, compare=False)

    @property
    def status_sent(self) -> int | None:
        """The status that the client can read; None = no status line is sent."""
        return self.status if self.ending in (ConnectionEnd.KEEP, ConnectionEnd.TRUNCATE) else None


DROP = Answer(ending=ConnectionEnd.DROP)
RESET = Answer(ending=ConnectionEnd.RESET)
HANG = Answer(ending=ConnectionEnd.HANG)
HTML = Answer(
    body=b"<!doctype html><html><title>Maintenance</title><p>We will be back soon.</p></html>",
    content_type="text/html; charset=utf-8",
)


def reply(body: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer with a JSON body."""
    text = json.dumps(body, ensure_ascii=False)
    try:
        return Answer(status, text.encode(), headers)
    except UnicodeEncodeError:  # a lone surrogate: valid in JSON, but not in UTF-8
        return Answer(status, json.dumps(body).encode(), headers)


class BadCursor(ValueError):
    """The text is not a cursor of the sandbox."""


def seal(position: str, serial: int = 0) -> str:
    """
    An opaque cursor for the records after `position`.

    It may end in `=`, so clients must encode it. `serial` makes cursors of the same position
    differ, as is necessary after an empty page: to a client a repeated cursor is an error.
    """
    return base64.urlsafe_b64encode(f"{serial}|{position}".encode()).decode()


def unseal(cursor: str) -> str:
    """
    The position of a cursor.

    Raises:
        BadCursor: The text is not a cursor.
    """
    try:
        serial, separator, position = base64.urlsafe_b64decode(cursor).decode().partition("|")
    except (binascii.Error, ValueError) as error:
        raise BadCursor(cursor) from error
    if not separator or not serial.isdecimal():
        raise BadCursor(cursor)
    return position
