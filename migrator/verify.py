"""
The third verb: look at every lead at the destination and compare it with what was sent.

It lists the client completely, page by page, and concludes nothing before the last one. It never
believes `total` (guide, bug 7) and never sends anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from migrator.leadgenius import LeadGenius, LeadPage
from migrator.ledger import Doubled, Ledger, Owner, Sighting
from migrator.mapping import differs
from migrator.printable import oddity
from migrator.settle import Lookout, listed, odd_rows
from migrator.states import State

ODD_EXAMPLES = 3

# The counters, `total` (the leads that are known of), and what is waited for, for so many seconds.
Notice = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Verified:
    """
    What a verification found, in contacts; leads that are no posted contact's, in leads.

    Args:
        verified: Moved to verified by this run.
        missing: Posted, but not listed; held.
        different: Listed with other values than were sent; held.
        doubled: Contacts with more than one lead at the destination.
        strangers: Leads that are nobody's of this ledger.
        in_doubt: Leads of contacts in doubt: the next push settles those.
        odd: Rows without an id. One with a contact's line or e-mail stands for its lead; the
            others are left out.
        odd_examples: The first of these, in words.
        unreadable: Of those, rows that show neither: a missing lead may be one of them.
    """

    pages: int
    verified: int
    missing: int
    different: int
    doubled: tuple[Doubled, ...]
    strangers: int
    in_doubt: int
    odd: int = 0
    unreadable: int = 0
    odd_examples: tuple[str, ...] = ()

    @property
    def left_for_a_person(self) -> int:
        """Contacts that need a person."""
        return self.missing + self.different + len(self.doubled)

    def counters(self) -> dict[str, int]:
        """The numbers that a run keeps."""
        return {
            "pages": self.pages,
            "verified": self.verified,
            "missing": self.missing,
            "different": self.different,
            "doubled": len(self.doubled),
            "strangers": self.strangers,
            "in_doubt": self.in_doubt,
            "odd": self.odd,
            "unreadable": self.unreadable,
        }


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
) -> Verified:
    """
    Compare every posted contact with the destination, and move or hold it accordingly.

    Every verification is a listing of its own: what an earlier one saw may have changed since.
    Where a lead is not listed, it is looked for once more after `settle_seconds`, because reads
    may lag behind writes.

    Args:
        pause: Sleeps, or raises when the user wants to stop; called with 0 between pages.
        notice: Called with how far it is after each page, for a person to watch.
        note: Called with it in the transaction of each page, to be kept with it.
    """
    sweep = _Sweep(ledger, leadgenius, client_id, portal_id, pause, notice, note)
    sweep.read()
    if unseen := ledger.listing.unseen():
        wait = {"waiting_for": f"{unseen:,} not listed yet", "waiting_seconds": settle_seconds}
        notice({**sweep.counters(), **wait})
        pause(settle_seconds)
        sweep.read()
    verdict = ledger.listing.conclude()
    return Verified(
        sweep.pages,
        verdict.verified,
        verdict.missing,
        verdict.different,
        tuple(ledger.listing.doubled()),
        sweep.strangers,
        sweep.in_doubt,
        sweep.odd,
        sweep.unreadable,
        tuple(sweep.odd_examples),
    )


@dataclass
class _Sweep:
    """One reading of all leads of the client."""

    ledger: Ledger
    leadgenius: LeadGenius
    client_id: str
    portal_id: str
    pause: Callable[[float], None]
    notice: Notice
    note: Notice
    pages: int = 0
    leads: int = 0
    strangers: int = 0
    in_doubt: int = 0
    odd: int = 0
    unreadable: int = 0

    def __post_init__(self) -> None:
        self.odd_examples: list[str] = []
        self._lookout = Lookout(self.ledger.attempts.open(), self.portal_id)
        sums = self.ledger.figures.sums()
        there = (State.POSTED, State.VERIFIED)
        self._expected = sum(one.contacts for one in sums if one.state in there)

    def read(self) -> None:
        """List the client once, from its first page to its last."""
        self.ledger.listing.begin_verification()
        self.leads = self.strangers = self.in_doubt = self.odd = self.unreadable = 0
        self.odd_examples.clear()
        for page in self.leadgenius.lead_pages(self.client_id):
            with self.ledger.transaction():
                self.ledger.listing.write_sightings(self._sightings(page), page.cursor)
                self.ledger.listing.write_unidentified(self._unidentified(page))
                self.pages += 1
                self.leads += len(page.leads)
                self.note(self.counters())
            self.notice(self.counters())
            self.pause(0)
        # One that is gone lists nothing, and every lead would be missing.
        self.leadgenius.check_presence(self.client_id)

    def _sightings(self, page: LeadPage) -> list[Sighting]:
        leads = {str(lead["id"]): lead for lead in page.leads}
        identities = [listed(lead, self.portal_id) for lead in leads.values()]
        owners = self.ledger.listing.owners(identities)
        others = [one for one in identities if one.lead_id not in owners]
        in_doubt = sum(self._lookout.by_line(one) is not None for one in others)
        self.in_doubt += in_doubt
        self.strangers += len(others) - in_doubt
        return [self._sighting(lead_id, leads[lead_id], own) for lead_id, own in owners.items()]

    def _unidentified(self, page: LeadPage) -> list[Sighting]:
        rows = odd_rows(page.odd, self.portal_id)
        self.odd_examples += map(oddity, page.odd[: max(0, ODD_EXAMPLES - self.odd)])
        self.odd += len(rows)
        self.unreadable += rows.count(None)
        shown = {one.lead_id: row for one, row in zip(rows, page.odd, strict=True) if one}
        owners = self.ledger.listing.owners([one for one in rows if one])
        return [self._sighting(own.lead_id, shown[row], own) for row, own in owners.items()]

    def _sighting(self, lead_id: str, lead: Mapping[str, Any], owner: Owner) -> Sighting:
        fields = differs(self.ledger.decoded(owner.lead), lead)
        return Sighting(lead_id, owner.key, ", ".join(fields) or None)

    def counters(self) -> dict[str, int]:
        return {
            "pages": self.pages,
            "leads": self.leads,
            "strangers": self.strangers,
            "total": self._expected + self.strangers,
        }
