"""
Doubt is settled by looking, never by guessing (design, I3).

A contact in doubt is found as soon as a listing shows its lead, and absent only when a complete
listing, begun at least `settle` after its send was over, did not. It decides; it never sends.

A row without an id is odd: it settles nothing, and it may be the lead that is looked for. If it
carries a contact's line or e-mail, that contact is not absent. If it is nameless (it shows neither
notes nor an e-mail), it may be any contact's, and then no contact is absent by that listing; but it
is no evidence for one contact in particular.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.leadgenius import LeadPage
from migrator.ledger import Doubt, LeadIdentity
from migrator.mapping import email_key, is_removed, records_in


@dataclass(frozen=True)
class LeadsFound:
    """What a page of a listing showed of the doubts: (contact key, lead id) of each."""

    leads: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class ListingComplete:
    """
    A listing came to its last page.

    Args:
        began_at: When its lookout was made (monotonic, seconds); it began no earlier.
        looked_for: The keys of the contacts that it would have shown.
        unsure: The keys of those whose line or e-mail an odd row carries: they are not absent.
        maybe_nameless: The keys of all others, where there was a nameless row.
    """

    began_at: float
    looked_for: frozenset[int]
    unsure: frozenset[int] = frozenset()
    maybe_nameless: frozenset[int] = frozenset()


@dataclass(frozen=True)
class ListingFailed:
    """A listing did not come to its last page."""

    error: BaseException


def identity_of(lead: Mapping[str, Any], portal_id: str) -> LeadIdentity:
    """A lead of a page, as far as identity goes (design, I4)."""
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
    Rows without an id, as far as identity goes; `None` = it may be any contact's lead.

    The placeholder of an id is none that a lead can have.
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
    Which of some doubts a listing shows. It is a snapshot: for one listing, in any thread.

    Args:
        doubts: Those to look for.
        portal_id: The portal whose line tells a contact's lead.
    """

    def __init__(self, doubts: Sequence[Doubt], portal_id: str) -> None:
        self._began_at = time.monotonic()
        self._portal_id = portal_id
        self._by_id = {doubt.hubspot_id: doubt for doubt in doubts}
        self._by_former = {lead_id: doubt for doubt in doubts for lead_id in doubt.former}
        self._by_email = {doubt.email_key: doubt for doubt in self._by_id.values()}
        self._unsure: set[int] = set()
        self._is_nameless_seen = False

    def by_line(self, lead: LeadIdentity) -> int | None:
        """
        The key of the doubt whose line this lead carries, or whose lead it was before.

        A removed lead proves that its send arrived, and that somebody took it away since; but not
        if it was removed before that send.
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
        """The key of the doubt whose e-mail this lead has, if it names no contact at all."""
        doubt = self._by_email.get(lead.email_key or "")
        # Where others with this e-mail were there before us, an e-mail proves nothing of our send.
        if doubt is None or lead.is_removed or doubt.foreign_lead_id is not None:
            return None
        if lead.hubspot_ids or lead.names_others:
            return None
        return doubt.key

    def look(self, pages: Callable[[], Iterator[LeadPage]], report: Callable[[Any], None]) -> None:
        """List the client once; every finding and the end are reported, failures too."""
        try:
            for seen in self._seen(pages):
                report(LeadsFound(seen))
        except BaseException as error:  # it is the main thread's to judge
            report(ListingFailed(error))
        else:
            unsure = frozenset(self._unsure)
            keys = self._keys() - unsure
            is_clear = not self._is_nameless_seen
            shown, maybe = (keys, frozenset[int]()) if is_clear else (frozenset[int](), keys)
            report(ListingComplete(self._began_at, shown, unsure, maybe))

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
        """(contact key, lead id): those with our line page by page, the other ones at the end."""
        # A lead with the line that is in use counts before one that was removed, and that before
        # one with the e-mail; the better one may stand on a later page.
        removed: dict[int, str] = {}
        by_email: dict[int, str] = {}
        for page in pages():
            self._beware_of(page.odd)
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


class OpenDoubts:
    """
    The contacts in doubt, and since when each could be told absent.

    Those that a listing could not settle are set aside: no listing is made for them, but the next
    one that is made looks for them too.

    Args:
        settle_seconds: The longest time that the service can take to finish an abandoned request,
            plus the lag of its reads.
        enough: So many that can be told absent are worth a listing while sends go on.
    """

    def __init__(self, settle_seconds: float, enough: int) -> None:
        self._settle_seconds = settle_seconds
        self._enough = enough
        self._over_at: dict[int, float] = {}
        self._doubts: dict[int, Doubt] = {}
        self._aside: set[int] = set()

    def __len__(self) -> int:
        """How many a listing is to settle."""
        return len(self._doubts) - len(self._aside)

    @property
    def unsettled(self) -> int:
        """How many are set aside."""
        return len(self._aside)

    def set_aside(self, keys: Iterable[int]) -> None:
        """A listing could not settle them; another one would show the same."""
        self._aside.update(keys)

    def add(self, doubt: Doubt, over_at: float) -> None:
        """A send is over, and nobody knows what it did. `over_at`: monotonic, seconds."""
        self._doubts[doubt.key] = doubt
        self._over_at[doubt.key] = over_at

    def remove(self, key: int) -> bool:
        """It is settled. `False` = it was already."""
        self._over_at.pop(key, None)
        self._aside.discard(key)
        return self._doubts.pop(key, None) is not None

    def ripe(self, at: float) -> list[int]:
        """Those that a complete listing begun at this moment, and not showing them, settles."""
        return [key for key, over in self._over_at.items() if over + self._settle_seconds <= at]

    def is_worth_a_listing(self, now: float, *, is_pressing: bool) -> bool:
        """
        Whether to list the client now.

        One listing settles all doubts, so it waits for as many as it can: for all of them when
        nothing else is left to do, for enough of them otherwise.
        """
        ripe = len(set(self.ripe(now)) - self._aside)
        return ripe > 0 and (ripe >= self._enough or (is_pressing and ripe == len(self)))

    def wait_seconds(self, now: float) -> float | None:
        """How long until all that a listing is to settle are ripe; `None` = there are none."""
        over_at = [over for key, over in self._over_at.items() if key not in self._aside]
        return max(0.0, max(over_at) + self._settle_seconds - now) if over_at else None

    def matcher(self, portal_id: str) -> ListingMatcher:
        """A snapshot to take to a listing."""
        return ListingMatcher(list(self._doubts.values()), portal_id)
