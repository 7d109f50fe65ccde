"""
The verify command: compares every lead in LeadGenius with what was sent.

It lists the client completely and draws conclusions only after the last page. It ignores `total`
(guide, bug 7) and never sends anything.

Each page is compared as it arrives; only the names of fields that differ or are missing are kept. A
field that no lead of the whole listing shows cannot be compared: the listing does not include it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from migrator.canonical_json import canonical_json
from migrator.comparison import NEVER_PROBED, LeadStorage, are_edits, listed_text
from migrator.counters import VerifyCounters
from migrator.doubts import identity_of, odd_rows
from migrator.leadgenius import LeadGenius, LeadPage
from migrator.ledger import (
    DuplicateLeads,
    LeadIdentity,
    Ledger,
    MatchedContact,
    SeenLead,
    UnclaimedLead,
    UnknownLead,
)
from migrator.mapping import Comparison, compare, is_removed
from migrator.states import State
from migrator.text import oddity

NAMED_AT_MOST = 1_000
ODD_EXAMPLES = 3

# Receives the counters, `total` (the expected number of leads), `waiting_for`, `waiting_seconds`.
Notice = Callable[[Mapping[str, Any]], None]


@dataclass
class VerifyResult(VerifyCounters):
    """
    The counters of a verification, and the details of some.

    Args:
        doubled_contacts, unclaimed_leads, blocked_leads, unknown_leads: The first of each.
        odd_examples: Descriptions of the first rows without an id.
        not_compared: Fields that were sent, but that the listing shows on no lead.
        not_kept: Fields that were sent, but that LeadGenius does not store, by a probe.
    """

    doubled_contacts: tuple[DuplicateLeads, ...] = ()
    unclaimed_leads: tuple[UnclaimedLead, ...] = ()
    blocked_leads: tuple[UnclaimedLead, ...] = ()
    unknown_leads: tuple[UnknownLead, ...] = ()
    not_compared: tuple[str, ...] = ()
    not_kept: tuple[str, ...] = ()
    odd_examples: tuple[str, ...] = ()


def verify(
    ledger: Ledger,
    leadgenius: LeadGenius,
    *,
    client_id: str,
    portal_id: str,
    settle_seconds: float,
    pause: Callable[[float], None],
    notice: Notice = lambda progress: None,
    note: Notice = lambda progress: None,
    storage: LeadStorage = NEVER_PROBED,
) -> VerifyResult:
    """
    Compare every posted contact with LeadGenius, and move or hold it accordingly.

    Each verification makes a new listing. If any lead is not listed, the client is listed again
    after `settle_seconds`, because reads may lag behind writes; a lead counts as seen if either
    listing showed it. If one is not listed as LeadGenius was told, the second listing waits until
    `settle_seconds` after the last write (life, section 1).

    Args:
        pause: Sleeps, or raises if the user wants to stop; called with 0 between pages.
        notice: Called with the progress after each page, to display it.
        note: Called with the progress in the transaction of each page, to store it.
        storage: What LeadGenius stores and lists of a lead.
    """
    listing = ListingPass(ledger, leadgenius, client_id, portal_id, pause, notice, note, storage)
    seconds = ledger.updates.seconds_to_settle(settle_seconds)
    listing.read()
    what = "an update that is not listed yet"
    if unseen := ledger.verification.unseen():
        what, seconds = f"{unseen:,} not listed yet", settle_seconds
    if unseen or (seconds and ledger.verification.is_any_unlike(listing.not_compared)):
        notice({**listing.progress(), "waiting_for": what, "waiting_seconds": seconds})
        pause(seconds)
        listing.read(again=True)
    return listing.conclude()


@dataclass
class ListingPass:
    """A listing of all leads of the client, which may be repeated once."""

    ledger: Ledger
    leadgenius: LeadGenius
    client_id: str
    portal_id: str
    pause: Callable[[float], None]
    notice: Notice
    note: Notice
    storage: LeadStorage
    pages: int = 0
    leads: int = 0
    strangers: int = 0
    removed: int = 0
    in_doubt: int = 0
    odd: int = 0
    unreadable: int = 0

    def __post_init__(self) -> None:
        self.odd_examples: list[str] = []
        sums = self.ledger.counts.sums()
        there = (State.POSTED, State.VERIFIED)
        self._expected = sum(one.contacts for one in sums if one.state in there)
        self._shown: set[str] = set()
        self._sent: set[str] = set()
        self._lacking: set[str] = set()

    def read(self, *, again: bool = False) -> None:
        """List the client once, from its first page to its last."""
        self.ledger.verification.begin(again=again)
        self.leads = self.strangers = self.removed = self.in_doubt = self.odd = self.unreadable = 0
        self.odd_examples.clear()
        for page in self.leadgenius.lead_pages(self.client_id):
            with self.ledger.transaction():
                sightings, as_sent = self._sightings(page)
                self.ledger.verification.write_sightings(sightings, page.cursor, as_sent)
                self.ledger.verification.write_unidentified(self._unidentified(page))
                self.pages += 1
                self.leads += len(page.leads)
                self.note(self.progress())
            self.notice(self.progress())
            self.pause(0)
        # A deleted client lists no leads, and then every lead would seem to be missing.
        self.leadgenius.check_presence(self.client_id)

    def _sightings(self, page: LeadPage) -> tuple[list[SeenLead], list[int]]:
        """What to store of a page, and the keys of contacts whose own lead is as it was sent."""
        leads = {str(lead["id"]): lead for lead in page.leads}
        self._shown.update(*leads.values())
        owners = self.ledger.verification.owners_by_id(list(leads))
        sightings: list[SeenLead | None] = []
        as_sent: list[int] = []
        for lead_id, owner in owners.items():
            lead = leads[lead_id]
            found = self._compared(lead, owner)
            if not (found.differs or found.lacks or is_removed(lead)):
                as_sent.append(owner.key)
            else:
                seen = identity_of(lead, self.portal_id)
                self.removed += seen.is_removed
                sightings.append(self._own(seen, lead, owner, found))
        rest = [lead for lead_id, lead in leads.items() if lead_id not in owners]
        sightings += self._others([identity_of(lead, self.portal_id) for lead in rest])
        return [sighting for sighting in sightings if sighting is not None], as_sent

    def _others(self, leads: Sequence[LeadIdentity]) -> Iterator[SeenLead | None]:
        """The records to store of leads that no contact has in the ledger."""
        owners = self.ledger.verification.owners(leads)
        return (self._sighting(one, owners.get(one.lead_id)) for one in leads)

    def _unidentified(self, page: LeadPage) -> list[SeenLead]:
        """Rows without an id, matched with contacts by record line or e-mail."""
        rows = odd_rows(page.odd, self.portal_id)
        self.odd_examples += map(oddity, page.odd[: max(0, ODD_EXAMPLES - self.odd)])
        self.odd += len(rows)
        self.unreadable += rows.count(None)
        readable = [(one, row) for one, row in zip(rows, page.odd, strict=True) if one]
        self._shown.update(*(row for _, row in readable))
        owners = self.ledger.verification.owners([one for one, _ in readable])
        return [
            self._own(replace(one, lead_id=own.lead_id), row, own, self._compared(row, own))
            for one, row in readable
            if (own := owners.get(one.lead_id)) is not None and own.lead_id is not None
        ]

    def _sighting(self, seen: LeadIdentity, owner: MatchedContact | None) -> SeenLead | None:
        """The record to store for another lead than a contact's own; `None` = only counted."""
        record = min(seen.hubspot_ids, default=None)
        self.removed += seen.is_removed
        if seen.is_removed:
            return None
        if owner is not None and owner.is_in_doubt:
            self.in_doubt += 1
            return None
        if owner is None and record is None:
            self.strangers += 1
            return None
        return SeenLead(seen.lead_id, None if owner is None else owner.key, record)

    def _compared(self, lead: Mapping[str, Any], owner: MatchedContact) -> Comparison:
        """The differences between a contact's own lead and what was sent."""
        told = owner.lead or {}
        for one in owner.updates:  # a person may have decided for another value than HubSpot's
            fields = {name: value for name, value in one["fields"].items() if name != "notes"}
            told = {**told, **fields}
        self._sent.update(told)
        if not all(told.values()):
            # A field that an update cleared may be listed as empty, or not at all.
            told = {name: value or "" for name, value in told.items() if value or lead.get(name)}
        return compare(self.storage.stored(told), lead)

    def _own(
        self,
        seen: LeadIdentity,
        lead: Mapping[str, Any],
        owner: MatchedContact,
        found: Comparison,
    ) -> SeenLead:
        edits = owner.was_verified and are_edits(owner.updates, lead, found.differs + found.lacks)
        self._lacking.update(found.lacks)
        there = {name: listed_text(lead[name]) for name in found.differs}
        return SeenLead(
            seen.lead_id,
            owner.key,
            min(seen.hubspot_ids, default=None),
            seen.is_removed,
            ", ".join(found.differs) or None,
            ", ".join(found.lacks) or None,
            edits,
            canonical_json(there) if there else None,
        )

    def progress(self) -> dict[str, int]:
        return {
            "pages": self.pages,
            "leads": self.leads,
            "strangers": self.strangers,
            "total": max(self._expected + self.strangers, self.leads),
        }

    @property
    def not_compared(self) -> list[str]:
        """Fields that were sent, and that the listing shows on no lead."""
        return sorted(self._lacking - self._shown - self.storage.shown)

    def conclude(self) -> VerifyResult:
        """Draw the conclusions from the complete listings."""
        verification = self.ledger.verification
        if "notes" in self._shown:
            self.strangers += verification.drop_guesses()
        verdict = verification.conclude(self.not_compared)
        names = ("pages", "strangers", "removed", "in_doubt", "odd", "unreadable")
        counted = {name: getattr(self, name) for name in names}
        return VerifyResult(
            **(vars(verdict) | counted),
            doubled_contacts=tuple(verification.doubled(NAMED_AT_MOST)),
            unclaimed_leads=tuple(verification.unclaimed(NAMED_AT_MOST)),
            blocked_leads=tuple(verification.blocked(NAMED_AT_MOST)),
            unknown_leads=tuple(verification.unknown(NAMED_AT_MOST)),
            not_compared=tuple(self.not_compared),
            not_kept=tuple(sorted(self._sent & self.storage.dropped)),
            odd_examples=tuple(self.odd_examples),
        )
