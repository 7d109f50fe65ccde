"""
What a push loop writes: leads to create, to update or to delete.

The loop, the queue and the breaker are the same for all three kinds; `Writes` is what differs. A
create needs nothing but the ledger. An update or a delete may leave only if its lead was seen at
most a minute ago and compared (the contract, section 3), so it asks the loop for pages of the
client's listing (`page_to_read`) and takes them (`on_page`).
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from migrator.http import SendOutcome
from migrator.leadgenius import LeadGenius, LeadPage
from migrator.ledger import AttemptResult, ContactToSend, Intent, Ledger
from migrator.states import Hold, WriteKind


class IntentRecalled(Exception):
    """An intent may not leave any more, and nothing of it has left."""


@dataclass(frozen=True)
class PageToRead:
    """
    A page that has to be read; `cursor` as an earlier listing gave it, `None` = the first.

    Args:
        is_whole: Whether all pages have to be read.
    """

    cursor: str | None
    is_whole: bool = False


class Writes(Protocol):
    """
    One kind of write, and the contacts that it is due for, in the order of the queue.

    Attributes:
        noun: What is written, in the plural, for messages.
    """

    kind: WriteKind
    noun: str

    def has_taken(self) -> bool:
        """Whether LeadGenius ever did this for a contact of this ledger."""

    def has_untried(self) -> bool:
        """Whether any contact is due that has not failed, seen recently or not."""

    def untried(self, limit: int) -> list[ContactToSend]:
        """The next contacts that may be written now and have not failed, in order."""

    def untried_at(self, place: float) -> ContactToSend | None:
        """One of them at a place (0 to 1) between the first and the last."""

    def tried(self) -> list[int]:
        """The keys of all contacts that have failed and may be tried again."""

    def among(self, keys: Sequence[int]) -> list[ContactToSend]:
        """Those of these contacts that may be written now, in their order."""

    def unseen(self, keys: Sequence[int]) -> list[int]:
        """Those of these contacts that are due, but have to be seen again first."""

    def page_to_read(self) -> PageToRead | None:
        """The page that has to be read before more can be written; `None` = none."""

    def has_to_look(self) -> bool:
        """Whether nothing at all can be written before that page is read."""

    def on_page(self, page: LeadPage, cursor: str | None, began_at: float) -> None:
        """
        Take a page of any listing.

        Args:
            cursor: The page's own.
            began_at: When it was asked for, on `clock.awake_or_asleep`.
        """

    def on_listing_complete(self, began_at: float) -> None:
        """Take the end of a complete listing that began then."""

    def body(self, contact: ContactToSend) -> bytes:
        """What is sent, and hashed."""

    def intent(self, contact: ContactToSend, body: bytes) -> Intent:
        """The intent to record."""

    def send(
        self, contact: ContactToSend, body: bytes, may_leave: Callable[[], None]
    ) -> SendOutcome:
        """Send it, once. Runs in a worker."""

    def check_age(self, contact: ContactToSend) -> None:
        """Raise `IntentRecalled` if the lead was not seen recently enough. Runs in a worker."""

    def on_claim(self, contact: ContactToSend) -> None:
        """Note that an intent is recorded."""

    def on_result(self, result: AttemptResult) -> None:
        """Note how an attempt ended."""

    def on_held(self, key: int, hold: Hold) -> None:
        """Note that a contact was held, so that it is not tried again; it comes before results."""


class Creates:
    """The leads to create: every contact that may be sent."""

    kind = WriteKind.CREATE
    noun = "leads"

    def __init__(self, ledger: Ledger, leadgenius: LeadGenius, client_id: str) -> None:
        sendable = ledger.sendable
        self.has_taken, self.untried = sendable.has_taken, sendable.untried
        self.untried_at, self.tried = sendable.untried_at, sendable.tried
        self.among = sendable.among
        self._leadgenius = leadgenius
        self._client_id = client_id

    def has_untried(self) -> bool:
        """Whether any contact that may be sent has not failed."""
        return bool(self.untried(1))

    def unseen(self, keys: Sequence[int]) -> list[int]:
        """None: nothing has to be seen before it is created."""
        return []

    def page_to_read(self) -> PageToRead | None:
        """None."""
        return None

    def has_to_look(self) -> bool:
        """Nothing has to be seen."""
        return False

    def on_page(self, page: LeadPage, cursor: str | None, began_at: float) -> None:
        """Needs no page."""

    def on_listing_complete(self, began_at: float) -> None:
        """Needs no listing."""

    def body(self, contact: ContactToSend) -> bytes:
        """The lead."""
        return body_of({"client_id": self._client_id, **contact.lead})

    def intent(self, contact: ContactToSend, body: bytes) -> Intent:
        """A create."""
        return Intent(contact.key, payload_hash(body))

    def send(
        self, contact: ContactToSend, body: bytes, may_leave: Callable[[], None]
    ) -> SendOutcome:
        """POST."""
        return self._leadgenius.create_lead(body, may_leave)

    def check_age(self, contact: ContactToSend) -> None:
        """It does not grow old."""

    def on_claim(self, contact: ContactToSend) -> None:
        """The ledger knows."""

    def on_result(self, result: AttemptResult) -> None:
        """The ledger knows."""

    def on_held(self, key: int, hold: Hold) -> None:
        """The ledger knows."""


def body_of(values: Mapping[str, Any]) -> bytes:
    """The body of a request with these values."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def payload_hash(body: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(body).hexdigest()
