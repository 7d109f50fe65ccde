"""
What the first listing of an undo shows: the leads to delete, those to keep and why, those that are
not there any more.

Of the chosen contacts, each has one lead, its own. With `--doubled` it is the other way round: the
further leads with a contact's record line are to go, and its own stays. If its own is not there,
the oldest of the others becomes its own.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from migrator.comparison import KeepReason
from migrator.doubts import identity_of
from migrator.leadgenius import LeadPage
from migrator.ledger import Ledger, SentContact, UndoChoice
from migrator.mapping import is_removed
from migrator.undo.judgement import Judgement
from migrator.undo.odd_rows import OddRows


@dataclass(frozen=True)
class DueLead:
    """
    A lead to delete.

    Args:
        cursor: Of the page that it stands on.
        own: Of a further lead, the contact's own one, and the cursor of its page.
    """

    key: int
    contact: str
    lead_id: str
    cursor: str | None = None
    own: tuple[str, str | None] | None = None


@dataclass(frozen=True)
class KeptLead:
    """A lead that is not deleted; `lead=None` = it is not known, or there is none."""

    contact: str
    lead: str | None
    why: KeepReason


@dataclass(frozen=True)
class AbsentLead(DueLead):
    """
    A lead that is not listed.

    Args:
        email: To look for it elsewhere; `None` = it has none.
        may_be_odd: Whether a row without an id may be it.
    """

    email: str | None = None
    may_be_odd: bool = False


@dataclass
class UndoPlan:
    """
    What an undo would do.

    Args:
        due: Leads to delete.
        kept: Leads that are kept.
        marked, absent: Own leads that are marked as deleted, or not listed.
        promoted: Further leads that become their contact's own, by its key.
        unsent: Named contacts that have no lead.
    """

    due: list[DueLead] = field(default_factory=list)
    kept: list[KeptLead] = field(default_factory=list)
    marked: list[DueLead] = field(default_factory=list)
    absent: list[AbsentLead] = field(default_factory=list)
    promoted: dict[int, str] = field(default_factory=dict)
    unsent: list[str] = field(default_factory=list)

    def keep(self, due: DueLead, why: KeepReason) -> None:
        """Note that a lead is kept."""
        self.kept.append(KeptLead(due.contact, due.lead_id, why))

    @property
    def has_surprises(self) -> bool:
        """Whether our own last writes may only not be listed yet: a lead is absent, or edited."""
        is_edited = any(one.why in _AS_BEFORE_A_WRITE for one in self.kept)
        return bool(self.promoted or self.absent) or is_edited


_AS_BEFORE_A_WRITE = (KeepReason.EDITED, KeepReason.NO_RECORD_LINE, KeepReason.NOTES_ADDED)


class OwnLeads:
    """Plans the deletion of the chosen contacts' own leads."""

    def __init__(
        self, ledger: Ledger, choice: UndoChoice, judgement: Judgement, portal_id: str
    ) -> None:
        self._ledger = ledger
        self._choice = choice
        self._judgement = judgement
        self._portal_id = portal_id
        self._begin()

    def _begin(self) -> None:
        self._plan = UndoPlan()
        self._odd = OddRows(self._ledger, self._portal_id)
        self._seen: set[str] = set()
        # Kept because of fields that no lead had shown so far, which a later page may show.
        self._hidden: list[tuple[KeptLead, frozenset[str]]] = []

    def on_page(self, page: LeadPage, cursor: str | None, began_at: float) -> None:
        """Take a page of the listing; the first one begins it."""
        if cursor is None:
            self._begin()
        leads = {str(lead["id"]): lead for lead in page.leads}
        self._judgement.shown.update(*page.leads)
        self._odd.on_page(page)
        for contact in self._ledger.undoing.chosen(self._choice, leads):
            self._seen.add(contact.lead_id)
            self._take(contact, leads[contact.lead_id], cursor)

    def _take(self, contact: SentContact, there: Mapping[str, Any], cursor: str | None) -> None:
        if is_removed(there) and not contact.is_open:
            self._plan.marked.append(DueLead(contact.key, contact.hubspot_id, contact.lead_id))
        elif (why := self._judgement.reason(contact, there)) is None:
            due = DueLead(contact.key, contact.hubspot_id, contact.lead_id, cursor)
            self._plan.due.append(due)
        elif why is KeepReason.NOT_SHOWN:
            kept = KeptLead(contact.hubspot_id, contact.lead_id, why)
            self._hidden.append((kept, self._judgement.hidden(contact, there)))
        else:
            self._plan.kept.append(KeptLead(contact.hubspot_id, contact.lead_id, why))

    def end(self) -> UndoPlan:
        """The plan, once the listing is complete."""
        plan, undoing = self._plan, self._ledger.undoing
        for kept, hidden in self._hidden:
            is_shown = hidden <= self._judgement.shown
            why = KeepReason.EDITED if is_shown else KeepReason.NOT_SHOWN
            plan.kept.append(KeptLead(kept.contact, kept.lead, why))
        for contacts in undoing.all_chosen(self._choice):
            for contact in contacts:
                if contact.lead_id in self._seen:
                    continue
                if contact.is_open:
                    why = KeepReason.OPEN
                    plan.kept.append(KeptLead(contact.hubspot_id, contact.lead_id, why))
                else:
                    plan.absent.append(_absent(contact, self._odd))
        for one in undoing.unsent(self._choice.keys or ()):
            if one.is_open:
                plan.kept.append(KeptLead(one.hubspot_id, None, KeepReason.OPEN))
            else:
                plan.unsent.append(one.hubspot_id)
        return plan


class FurtherLeads:
    """
    Plans the deletion of all but one of the leads with a contact's record line.

    A lead that is another contact's own is not one of them, even if it carries this one's line.
    """

    def __init__(
        self, ledger: Ledger, choice: UndoChoice, judgement: Judgement, portal_id: str
    ) -> None:
        self._ledger = ledger
        self._choice = choice
        self._judgement = judgement
        self._portal_id = portal_id
        self._begin()

    def _begin(self) -> None:
        self._pages: dict[str, str | None] = {}  # of the leads that are there
        self._odd = OddRows(self._ledger, self._portal_id)
        self._further: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)

    def on_page(self, page: LeadPage, cursor: str | None, began_at: float) -> None:
        """Take a page of the listing; the first one begins it."""
        if cursor is None:
            self._begin()
        self._judgement.shown.update(*page.leads)
        self._odd.on_page(page)
        leads = {str(lead["id"]): lead for lead in page.leads if not is_removed(lead)}
        self._pages.update(dict.fromkeys(leads, cursor))
        named = {
            lead_id: identity_of(lead, self._portal_id).hubspot_ids
            for lead_id, lead in leads.items()
        }
        owned = self._ledger.undoing.owned(leads)
        records = self._ledger.undoing.records({one for ids in named.values() for one in ids})
        for lead_id, lead in leads.items():
            keys = {records[one] for one in named[lead_id] if one in records}
            if lead_id not in owned and len(keys) == 1:
                self._further[keys.pop()].append(lead)

    def end(self) -> UndoPlan:
        """The plan, once the listing is complete."""
        plan = UndoPlan()
        keys = set(self._further)
        if self._choice.keys is not None:
            keys &= self._choice.keys
        for contact in self._ledger.undoing.contacts(sorted(keys)):
            others = sorted(self._further[contact.key], key=_age)
            own = contact.lead_id
            if own not in self._pages:
                if contact.is_open or self._odd.may_be(contact.key):
                    why = KeepReason.OPEN if contact.is_open else KeepReason.NAMELESS
                    plan.kept.append(KeptLead(contact.hubspot_id, own, why))
                    continue
                own = str(others.pop(0)["id"])
                plan.promoted[contact.key] = own
            for lead in others:
                self._take(contact, lead, own, plan)
        return plan

    def _take(
        self, contact: SentContact, there: Mapping[str, Any], own: str, plan: UndoPlan
    ) -> None:
        lead_id = str(there["id"])
        why = self._judgement.reason(contact, there, is_own=False)
        if why is not None:
            plan.kept.append(KeptLead(contact.hubspot_id, lead_id, why))
        else:
            stands = (self._pages[lead_id], (own, self._pages[own]))
            plan.due.append(DueLead(contact.key, contact.hubspot_id, lead_id, *stands))


def _age(lead: Mapping[str, Any]) -> tuple[str, str]:
    """Older leads sort first; those without a date, last."""
    return str(lead.get("createdAt") or "\uffff"), str(lead["id"])


def _absent(contact: SentContact, odd: OddRows) -> AbsentLead:
    email = contact.base.get("email")
    return AbsentLead(
        *(contact.key, contact.hubspot_id, contact.lead_id),
        email=email if isinstance(email, str) else None,
        may_be_odd=odd.may_be(contact.key),
    )


def why_absent(
    lead: AbsentLead, find: Callable[[str], Mapping[str, Any] | None], client_id: str
) -> KeepReason | None:
    """
    Look for a lead that is not listed; `None` = it is not there any more, as far as can be found.

    Args:
        find: Looks up a lead of any client by its e-mail.
    """
    there = None if lead.email is None else find(lead.email)
    if there is None or str(there.get("id")) != lead.lead_id:
        return KeepReason.NAMELESS if lead.may_be_odd else None
    if is_removed(there):
        return None
    is_here = there.get("client_id", client_id) == client_id
    return KeepReason.NOT_LISTED if is_here else KeepReason.OTHER_CLIENT
