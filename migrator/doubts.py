"""
Doubts are settled by looking in LeadGenius, never by guessing (design, I3).

A write is in doubt if no answer proves whether it was done: after a time-out, a broken connection,
a 5xx. To create again could make a duplicate; not to create could lose the contact; an update that
lands late could revert a newer value. So the leads of the client are listed, and each contact in
doubt whose lead was to be created is one of these:

- Found, as soon as a page shows its lead: by the record line in the notes, by the id of a lead that
  the contact had before, or by e-mail if the lead names no contact at all. A lead with the line
  counts before a removed one, and that before one with the e-mail; since the better match may stand
  on a later page, the weaker ones are reported at the end of the listing.
- Absent, if a complete listing did not show its lead and began at least `settle` seconds after the
  send was over. That covers the time for which the service may still work on an abandoned request,
  and the lag of its reads. An absent contact may be sent again.
- Still in doubt otherwise. A listing that breaks off settles only what it has found.

A lead without an id settles nothing, but may be the lead that is looked for. If it carries the
record line or the e-mail of a contact, that contact is not absent. If it is nameless (it has
neither notes nor an e-mail), it may be any contact's, so this listing proves no contact absent; but
it is no evidence for one contact in particular.

A lead that was to be updated or deleted is found by its id. A complete listing that began `settle`
seconds after the send was over shows whether it was: the lead has the new values, or the old ones,
or others (it was edited since); or it is there, or not.

One listing settles all doubts, so `OpenDoubts` waits until enough of them are ripe (their settle
time is over), or until nothing else is left to do. Doubts that a listing could not settle are set
aside: they cause no further listing, but later ones look for them too.

This module decides; it sends nothing and writes nothing. Times are seconds on a monotonic clock.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from migrator.clock import awake_or_asleep
from migrator.comparison import UpdateProof, what_a_listing_proves
from migrator.hold_details import HoldDetail
from migrator.leadgenius import LeadPage
from migrator.ledger import AttemptResult, Doubt, LeadIdentity
from migrator.mapping import email_key, is_removed, records_in
from migrator.states import Outcome, WriteKind


@dataclass(frozen=True)
class LeadsFound:
    """Leads of contacts in doubt that a listing showed, as (contact key, lead id)."""

    leads: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class ListingComplete:
    """
    A listing reached its last page.

    Args:
        began_at: When its matcher was made; the listing began no earlier.
        looked_for: Keys of the contacts whose leads it would have shown.
        unsure: Keys of contacts whose line or e-mail a row without an id carries: not absent.
        maybe_nameless: Keys of all other contacts, if there was a nameless row.
        outcomes: Of updates and deletes, by the key of their contact.
        looked_at: As `began_at`, on `clock.awake_or_asleep`.
    """

    began_at: float
    looked_for: frozenset[int]
    unsure: frozenset[int] = frozenset()
    maybe_nameless: frozenset[int] = frozenset()
    outcomes: Mapping[int, Outcome] = field(default_factory=dict)
    looked_at: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class ListingFailed:
    """A listing broke off before its last page."""

    error: BaseException


def identity_of(lead: Mapping[str, Any], portal_id: str) -> LeadIdentity:
    """The parts of a listed lead that tell whose it is (design, I4)."""
    records = records_in(lead.get("notes"))
    ours = frozenset(contact for portal, contact in records if portal == portal_id)
    email = lead.get("email")
    return LeadIdentity(
        str(lead["id"]),
        ours,
        email_key(email) if isinstance(email, str) else None,
        names_others=len(records) > len(ours),
        shows_notes="notes" in lead,
        is_removed=is_removed(lead),
    )


def odd_rows(rows: Sequence[Any], portal_id: str) -> list[LeadIdentity | None]:
    """
    The identities of rows without an id; `None` = nameless, so it may be any contact's lead.

    They get a placeholder id that no lead can have.
    """
    return [
        identity_of({**row, "id": f"\n{number}"}, portal_id) if _shows_whose_it_is(row) else None
        for number, row in enumerate(rows)
    ]


def _shows_whose_it_is(row: object) -> bool:
    if not isinstance(row, dict):
        return False
    email = row.get("email")
    return isinstance(row.get("notes"), str) or (isinstance(email, str) and bool(email.strip()))


class ListingMatcher:
    """
    Matches the leads of one listing with a snapshot of the doubts, in any thread.

    Args:
        doubts: The doubts to look for.
        portal_id: The HubSpot portal that the record lines of our leads name.
    """

    def __init__(self, doubts: Sequence[Doubt], portal_id: str) -> None:
        self._began_at, self._looked_at = time.monotonic(), awake_or_asleep()
        self._portal_id = portal_id
        creates = [doubt for doubt in doubts if doubt.kind is WriteKind.CREATE]
        self._by_lead = {doubt.lead_id: doubt for doubt in doubts if doubt.lead_id is not None}
        self._shown: dict[str, Mapping[str, Any]] = {}
        self._by_id = {
            one: doubt for doubt in creates for one in (doubt.hubspot_id, *doubt.predecessors)
        }
        self._by_former = {lead_id: doubt for doubt in creates for lead_id in doubt.former}
        self._by_email = {doubt.email_key: doubt for doubt in self._by_id.values()}
        self._unsure: set[int] = set()
        self._is_nameless_seen = False

    def by_line(self, lead: LeadIdentity) -> int | None:
        """
        The key of the doubt whose record line this lead carries, or whose lead it was before.

        A removed lead proves that the send arrived and the lead was removed later, unless it is one
        that the contact had before this send.
        """
        named = [self._by_former.get(lead.lead_id), *map(self._by_id.get, lead.hubspot_ids)]
        return next(
            (
                doubt.key
                for doubt in named
                if doubt and not (lead.is_removed and lead.lead_id in doubt.former)
            ),
            None,
        )

    def by_email(self, lead: LeadIdentity) -> int | None:
        """The key of the doubt with the e-mail of this lead, if the lead names no contact."""
        doubt = self._by_email.get(lead.email_key or "")
        # If a foreign lead with this e-mail existed before, the e-mail proves nothing.
        if doubt is None or lead.is_removed or doubt.foreign_lead_id is not None:
            return None
        if lead.hubspot_ids or lead.names_others:
            return None
        return doubt.key

    def look(self, pages: Callable[[], Iterator[LeadPage]], report: Callable[[Any], None]) -> None:
        """List the client once, and report every finding and the end, failures included."""
        try:
            for seen in self._seen(pages):
                report(LeadsFound(seen))
        except BaseException as error:  # for the push loop to raise
            report(ListingFailed(error))
        else:
            unsure = frozenset(self._unsure)
            keys = self._keys() - unsure
            is_clear = not self._is_nameless_seen
            shown, maybe = (keys, frozenset[int]()) if is_clear else (frozenset[int](), keys)
            found = (shown, unsure, maybe, self._outcomes(is_clear=is_clear))
            report(ListingComplete(self._began_at, *found, self._looked_at))

    def _outcomes(self, *, is_clear: bool) -> dict[int, Outcome]:
        """What the listing proves of updates and deletes."""
        return {
            doubt.key: _outcome(doubt, self._shown.get(lead_id))
            for lead_id, doubt in self._by_lead.items()
            if is_clear or lead_id in self._shown  # a nameless row may be a lead that is not shown
        }

    def _keys(self) -> frozenset[int]:
        return frozenset(doubt.key for doubt in self._by_id.values())

    def _beware_of(self, odd: Sequence[Any]) -> None:
        for one in odd_rows(odd, self._portal_id):
            if one is None:
                self._is_nameless_seen = True
            else:
                keys = {self.by_line(one), self.by_email(one)}
                self._unsure.update(key for key in keys if key is not None)

    def _seen(
        self, pages: Callable[[], Iterator[LeadPage]]
    ) -> Iterator[tuple[tuple[int, str], ...]]:
        """The matches: leads in use with our line page by page, weaker matches at the end."""
        removed: dict[int, str] = {}
        by_email: dict[int, str] = {}
        for page in pages():
            self._beware_of(page.odd)
            self._shown.update(
                (lead_id, lead)
                for lead in page.leads
                if (lead_id := str(lead["id"])) in self._by_lead
            )
            by_line: dict[int, str] = {}
            for one in (identity_of(lead, self._portal_id) for lead in page.leads):
                if (key := self.by_line(one)) is not None:
                    (removed if one.is_removed else by_line)[key] = one.lead_id
                elif (key := self.by_email(one)) is not None:
                    by_email.setdefault(key, one.lead_id)
            if by_line:
                yield tuple(by_line.items())
        if at_the_end := by_email | removed:
            yield tuple(at_the_end.items())


def _outcome(doubt: Doubt, shown: Mapping[str, Any] | None) -> Outcome:
    """The outcome of an update or a delete whose lead a listing shows like this; `None` = not."""
    is_there = shown is not None and not is_removed(shown)
    if doubt.kind is WriteKind.DELETE:
        return Outcome.ABSENT if is_there else Outcome.FOUND
    if shown is None or not is_there:
        return Outcome.ABSENT
    return _PROVEN[what_a_listing_proves(doubt.fields or {}, doubt.before or {}, shown)]


_PROVEN = {
    UpdateProof.LANDED: Outcome.FOUND,
    UpdateProof.NOT_LANDED: Outcome.ABSENT,
    UpdateProof.EDITED: Outcome.EDITED,
}


class OpenDoubts:
    """
    The contacts in doubt, and when each send was over.

    Args:
        settle_seconds: The longest time that the service may take to finish an abandoned request,
            plus the lag of its reads.
        enough: How many ripe doubts are worth a listing while sends continue.
    """

    def __init__(self, settle_seconds: float, enough: int) -> None:
        self._settle_seconds = settle_seconds
        self._enough = enough
        self._over_at: dict[int, float] = {}
        self._doubts: dict[int, Doubt] = {}
        self._aside: set[int] = set()
        self._inherited: set[int] = set()

    def __len__(self) -> int:
        """Doubts that are not set aside."""
        return len(self._doubts) - len(self._aside)

    @property
    def unsettled(self) -> int:
        """Doubts that are set aside."""
        return len(self._aside)

    def add(self, doubt: Doubt, over_at: float, *, is_inherited: bool = False) -> None:
        """
        Add a contact whose send ended in doubt.

        Args:
            over_at: When the send was over, at the latest.
            is_inherited: An earlier process sent it, at an unknown time.
        """
        self._doubts[doubt.key] = doubt
        self._over_at[doubt.key] = over_at
        if is_inherited:
            self._inherited.add(doubt.key)

    def is_inherited(self, key: int) -> bool:
        """Whether an earlier process sent it: its result says nothing about the service today."""
        return key in self._inherited

    def remove(self, key: int) -> bool:
        """Remove a settled doubt. `False` = it was settled already."""
        self._over_at.pop(key, None)
        self._aside.discard(key)
        return self._doubts.pop(key, None) is not None

    def ripe(self, at: float) -> list[int]:
        """The doubts that a complete listing begun at this time would settle as absent."""
        return [key for key, over in self._over_at.items() if over + self._settle_seconds <= at]

    def settle(self, listing: ListingComplete) -> list[AttemptResult]:
        """
        Remove the doubts that a complete listing settles, and set aside those that it could not.

        Returns:
            The outcomes. Some are absent with a detail, because a person must decide on them: a row
            without an id may be their lead, as in an earlier push, which asked for such rows to be
            repaired.
        """
        ripe = frozenset(self.ripe(listing.began_at))
        absent = listing.looked_for & ripe
        outcomes = dict.fromkeys(absent, Outcome.ABSENT) | {
            key: outcome for key, outcome in listing.outcomes.items() if key in ripe
        }
        undecidable = listing.maybe_nameless & ripe & self._inherited
        settled = [
            self._result(key, outcomes.get(key)) for key in sorted(undecidable.union(outcomes))
        ]
        for one in settled:
            self.remove(one.key)
        self._aside |= (listing.unsure | listing.maybe_nameless) & ripe - undecidable
        self._inherited -= absent
        return settled

    def _result(self, key: int, outcome: Outcome | None) -> AttemptResult:
        """The result of a doubt; without an outcome, a nameless row may be its lead."""
        if outcome is None:
            return AttemptResult(key, Outcome.ABSENT, detail=HoldDetail.NAMELESS.of())
        doubt = self._doubts[key]
        email = (doubt.fields or {}).get("email")
        updated = email_key(email) if isinstance(email, str) else None
        return AttemptResult(key, outcome, email_key=updated, kind=doubt.kind)

    def is_worth_a_listing(self, now: float, *, is_pressing: bool) -> bool:
        """
        Whether to list the client now: once enough doubts are ripe, or all of them.

        Args:
            is_pressing: Nothing else can be done, so all doubts being ripe suffices.
        """
        ripe = len(set(self.ripe(now)) - self._aside)
        return ripe > 0 and (ripe >= self._enough or (is_pressing and ripe == len(self)))

    def wait_seconds(self, now: float) -> float | None:
        """How long until all doubts that are not set aside are ripe; `None` = there are none."""
        over_at = [over for key, over in self._over_at.items() if key not in self._aside]
        return max(0.0, max(over_at) + self._settle_seconds - now) if over_at else None

    def matcher(self, portal_id: str) -> ListingMatcher:
        """A matcher for one listing, with the doubts as they are now."""
        return ListingMatcher(list(self._doubts.values()), portal_id)
