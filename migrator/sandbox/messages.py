"""
One exchange over HTTP as the sandbox sees it: the call received, the answer sent, page cursors.

Owns the types that all other modules of the sandbox exchange. It knows neither service, opens no
socket and never decides what to answer.
"""

import base64
import binascii
import enum
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Lead = dict[str, Any]


class ConnectionEnd(enum.Enum):
    """What becomes of the connection once the answer is decided."""

    KEEP = "keep"  # answer whole, keep the connection
    DROP = "drop"  # close without a byte
    RESET = "reset"  # close with RST instead of FIN
    HANG = "hang"  # say nothing until the client leaves or the sandbox stops
    TRUNCATE = "truncate"  # promise more bytes than are sent, then close


@dataclass(slots=True)
class Call:
    """
    One request, and what is known of it so far.

    Args:
        at: Wall clock when its last byte had come, in seconds since the epoch.
        query: Decoded; a key that came several times has its values joined by commas.
        headers: Names in lower case.
        lead: The parsed body, only of a `POST /api/leads` that held a JSON object.
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
        """The body read as JSON; None when it is none, as no caller treats the two differently."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What to send, when, and how to end.

    Args:
        delay_seconds: Waited before anything is sent; everything it saves is saved already.
        later: Done after the delay, for what happens after the client has given up.
    """

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    ending: ConnectionEnd = ConnectionEnd.KEEP
    delay_seconds: float = 0.0
    later: Callable[[], object] | None = field(default=None, compare=False)

    @property
    def status_sent(self) -> int | None:
        """The status that a client can read: None for the endings that send no status line."""
        return self.status if self.ending in (ConnectionEnd.KEEP, ConnectionEnd.TRUNCATE) else None


DROP = Answer(ending=ConnectionEnd.DROP)
RESET = Answer(ending=ConnectionEnd.RESET)
HANG = Answer(ending=ConnectionEnd.HANG)
HTML = Answer(
    body=b"<!doctype html><html><title>Maintenance</title><p>We will be back soon.</p></html>",
    content_type="text/html; charset=utf-8",
)


def reply(body: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer whose body is `body` as JSON."""
    text = json.dumps(body, ensure_ascii=False)
    try:
        return Answer(status, text.encode(), headers)
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can say it, UTF-8 cannot
        return Answer(status, json.dumps(body).encode(), headers)


class BadCursor(ValueError):
    """This text is not a cursor of the sandbox."""


def seal(position: str, serial: int = 0) -> str:
    """
    The cursor for everything after `position`, opaque so that no client is tempted to read it.

    It may end in `=`, so clients must encode it. `serial` lets two cursors for one position differ,
    as they must after an empty page: a client rightly takes a repeated cursor for an error.
    """
    return base64.urlsafe_b64encode(f"{serial}|{position}".encode()).decode()


def unseal(cursor: str) -> str:
    """
    The position that a cursor stands for.

    Raises:
        BadCursor: The text was made up or damaged on its way.
    """
    try:
        serial, separator, position = base64.urlsafe_b64decode(cursor).decode().partition("|")
    except (binascii.Error, ValueError) as error:
        raise BadCursor(cursor) from error
    if not separator or not serial.isdecimal():
        raise BadCursor(cursor)
    return position
