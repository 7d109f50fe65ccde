"""
Leads that may be written only if they were seen at most a minute ago (the contract, section 3).

The first listing of the client shows which leads are due, and on which page each stands
(`SeenLeads.add`). Before they are written, their page is read again and each is examined as it
stands there; so a page costs one request a minute, however many of its leads are written. A lead
that is not on its page any more has moved: then the whole client is listed.
"""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from migrator.clock import awake_or_asleep
from migrator.leadgenius import LeadPage
from migrator.ledger import AttemptResult, ContactToSend
from migrator.push.writes import IntentRecalled, PageToRead, Writes
from migrator.states import DONE, Hold, Outcome

LONGEST_LOOK_SECONDS = 60.0
# A contact is claimed only if its look lasts long enough for the send to begin.
LONGEST_LOOK_AT_CLAIM_SECONDS = 45.0


@dataclass(frozen=True)
class SeenContact(ContactToSend):
    """
    A contact whose lead is to be written as it was seen.

    Args:
        lead: The values to send; empty of a delete.
        lead_id: The lead.
        there: The lead as it was listed.
        base: What LeadGenius was told of it once it is written.
        seen_at: When the page that showed it was asked for, on `clock.awake_or_asleep`.
        overrode: What a person decided against the rules (`Intent`).
    """

    lead_id: str = ""
    there: Mapping[str, Any] = field(default_factory=dict)
    base: Mapping[str, Any] = field(default_factory=dict)
    seen_at: float = 0.0
    overrode: Mapping[str, str] = field(default_factory=dict)


def seen(contact: ContactToSend) -> SeenContact:
    """The contact as it was seen; `SeenLeads` offers no other."""
    return cast("SeenContact", contact)


class SeenLeads(Writes):
    """
    The part of `Writes` that updates and deletes share; they add what to write.

    A contact is due until it is written, refused, or found to need nothing any more. Of those due,
    `_open` have an open attempt; the others are ready (seen lately) or unseen.
    """

    def __init__(self) -> None:
        self._pages: dict[int, str | None] = {}  # where each contact that is due stands
        self._on_page: defaultdict[str | None, set[int]] = defaultdict(set)
        self._leads: dict[int, str] = {}  # their leads
        self._keys: dict[str, int] = {}  # those contacts, by lead
        self._moved: set[int] = set()  # not on that page any more
        self._ready: dict[int, SeenContact] = {}
        self._unseen: dict[int, None] = {}
        self._failed: dict[int, None] = {}
        self._open: set[int] = set()
        self._asked: dict[int, None] = {}  # wanted now, but unseen
        self._shown_at: dict[int, float] = {}  # when the last page with its lead was asked for

    def __len__(self) -> int:
        """Contacts that are due."""
        return len(self._pages)

    # What is due

    def due(self) -> list[int]:
        """The keys of the contacts that are due."""
        return list(self._pages)

    def add(self, key: int, lead_id: str, cursor: str | None, *, is_moved: bool = False) -> None:
        """
        Let a contact be due whose lead stands on the page that begins at this cursor.

        Args:
            is_moved: Whether it may stand on any page.
        """
        self._leads[key] = lead_id
        self._keys[lead_id] = key
        self._place(key, cursor)
        self._unseen[key] = None
        self._shown_at[key] = awake_or_asleep()
        if is_moved:
            self._moved.add(key)

    def _place(self, key: int, cursor: str | None) -> None:
        if key in self._pages:
            self._on_page[self._pages[key]].discard(key)
        self._pages[key] = cursor
        self._on_page[cursor].add(key)
        self._moved.discard(key)

    @abstractmethod
    def examine(
        self, leads: Mapping[int, Mapping[str, Any]], seen_at: float
    ) -> Sequence[SeenContact]:
        """
        What is to be written of these contacts, by their leads as they stand there now.

        A contact that is left out needs nothing any more. Called in a transaction.
        """

    @abstractmethod
    def on_missing(self, key: int) -> None:
        """Note that a complete listing does not show a contact's lead. Called in a transaction."""

    # Looks

    def page_to_read(self) -> PageToRead | None:
        """
        The page of the next contact, once those that were seen are used up.

        Contacts that have failed are asked for when their round comes.
        """
        self._expire()
        wanted = next(iter(self._asked), None)
        if wanted is None and all(key in self._failed for key in self._ready):
            wanted = next((key for key in self._unseen if key not in self._failed), None)
        return None if wanted is None else self.page_of(wanted)

    def page_of(self, key: int) -> PageToRead:
        """The page to read next for a contact."""
        return PageToRead(self._pages[key], is_whole=key in self._moved)

    def on_page(self, page: LeadPage, cursor: str | None, began_at: float) -> None:
        """Examine the leads of the page that are due."""
        leads: dict[int, Mapping[str, Any]] = {}
        for lead in page.leads:
            key = self._keys.get(str(lead["id"]))
            if key is not None:
                self._place(key, cursor)
                self._shown_at[key] = began_at
                if key not in self._open:
                    leads[key] = lead
        found = {one.key: one for one in self.examine(leads, began_at)} if leads else {}
        for key in leads:
            for kept in (self._unseen, self._asked, self._ready):
                kept.pop(key, None)
            if key in found:
                self._ready[key] = found[key]
            else:
                self.drop(key)
        here = self._on_page[cursor]
        self._moved.update(key for key in here if self._is_not_shown(key, began_at))

    def _is_not_shown(self, key: int, since: float) -> bool:
        """Whether no page that was asked for since then has shown its lead, of those not open."""
        return key not in self._open and self._shown_at[key] < since

    def on_listing_complete(self, began_at: float) -> None:
        """Drop the contacts whose leads the listing did not show."""
        for key in [one for one in self._pages if self._is_not_shown(one, began_at)]:
            self.on_missing(key)
            self.drop(key)

    def looked_at(self, contact: SeenContact) -> float:
        """When all that has to be seen before a contact is written was seen. In a worker, too."""
        return contact.seen_at

    def _expire(self) -> None:
        """Contacts that were seen too long ago have to be seen again."""
        now = awake_or_asleep()
        for key, contact in list(self._ready.items()):
            if now - self.looked_at(contact) > LONGEST_LOOK_AT_CLAIM_SECONDS:
                del self._ready[key]
                self._unseen[key] = None

    def drop(self, key: int) -> None:
        """Let a contact be due no more."""
        self._on_page[self._pages[key]].discard(key)
        del self._keys[self._leads.pop(key)]
        for kept in (self._pages, self._ready, self._unseen, self._failed, self._asked):
            kept.pop(key, None)
        del self._shown_at[key]
        self._open.discard(key)
        self._moved.discard(key)

    # The queue

    def has_to_look(self) -> bool:
        """Whether none was seen lately, and a page has to be read."""
        return self.page_to_read() is not None and not self._ready

    def has_untried(self) -> bool:
        """Whether a contact is due that has not failed."""
        return any(key not in self._failed for one in (self._ready, self._unseen) for key in one)

    def untried(self, limit: int) -> list[ContactToSend]:
        """Those that were seen lately and have not failed."""
        self._expire()
        found: list[ContactToSend] = []
        for key, contact in self._ready.items():
            if len(found) == limit:
                break
            if key not in self._failed:
                found.append(contact)
        return found

    def untried_at(self, place: float) -> ContactToSend | None:
        """One of them at a place (0 to 1) in their order."""
        found = self.untried(len(self._ready))
        return found[min(len(found) - 1, int(place * len(found)))] if found else None

    def tried(self) -> list[int]:
        """Those that have failed."""
        return [key for key in self._failed if key not in self._open]

    def among(self, keys: Sequence[int]) -> list[ContactToSend]:
        """Those that were seen lately; the others are asked for."""
        self._expire()
        self._asked.update(dict.fromkeys(self.unseen(keys)))
        return [self._ready[key] for key in keys if key in self._ready]

    def unseen(self, keys: Sequence[int]) -> list[int]:
        """Those that are due and were not seen lately."""
        return [key for key in keys if key in self._unseen]

    # Attempts

    def on_claim(self, contact: ContactToSend) -> None:
        """Note that an intent is recorded."""
        self._ready.pop(contact.key, None)
        self._open.add(contact.key)

    def on_held(self, key: int, hold: Hold) -> None:
        """Leave a contact alone that is not tried again."""
        if key in self._pages:
            self.drop(key)

    def on_result(self, result: AttemptResult) -> None:
        """Note how an attempt ended; one that is in doubt stays open."""
        key = result.key
        if result.outcome is None or key not in self._pages:
            return
        self._open.discard(key)
        if result.outcome in DONE:
            self.drop(key)
            return
        self._unseen[key] = None
        if result.is_failure or result.outcome is Outcome.ABSENT:
            self._failed[key] = None

    def check_age(self, contact: ContactToSend) -> None:
        """Raise `IntentRecalled` if the lead was seen more than a minute ago."""
        if awake_or_asleep() - self.looked_at(seen(contact)) > LONGEST_LOOK_SECONDS:
            raise IntentRecalled
