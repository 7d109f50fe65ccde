"""The leads that an undo deletes, each judged again as it was seen a minute ago at most."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from migrator.comparison import KeepReason
from migrator.http import SendOutcome
from migrator.leadgenius import LeadGenius, LeadPage
from migrator.ledger import AttemptResult, ContactToSend, Intent, Ledger
from migrator.mapping import is_removed
from migrator.push.seen_leads import SeenContact, SeenLeads, seen
from migrator.push.writes import PageToRead, payload_hash
from migrator.states import Hold, Outcome, WriteKind
from migrator.undo.judgement import Judgement
from migrator.undo.own_looks import OwnLooks
from migrator.undo.plan import DueLead, KeptLead
from migrator.undo.source import GoneContacts


class LeadDeletes(SeenLeads):
    """
    The deletes that are due: of each contact one lead at a time, as it has one open attempt.

    Args:
        source: Asks HubSpot whether the contacts are still gone; `None` = they need not be.

    Attributes:
        kept: By lead, why it is kept after all.
        rounds: How often each lead was deleted, or found not to be there, in this run.
        unproven: Leads that were deleted, or not there any more: a listing has to prove it.
    """

    kind = WriteKind.DELETE
    noun = "deletes"

    def __init__(
        self,
        ledger: Ledger,
        leadgenius: LeadGenius,
        judgement: Judgement,
        source: GoneContacts | None,
    ) -> None:
        super().__init__()
        self._ledger = ledger
        self._leadgenius = leadgenius
        self._judgement = judgement
        self._source = source
        self._own = OwnLooks()
        self._current: dict[int, DueLead] = {}
        self._later: defaultdict[int, deque[DueLead]] = defaultdict(deque)
        self.kept: dict[str, KeptLead] = {}
        self.rounds: Counter[str] = Counter()
        self.unproven: dict[str, DueLead] = {}

    def __len__(self) -> int:
        """Leads that are due."""
        return super().__len__() + sum(map(len, self._later.values()))

    def has_taken(self) -> bool:
        """Whether LeadGenius ever took a delete of this ledger."""
        return self._ledger.undoing.has_deleted()

    def delete(self, due: DueLead) -> None:
        """Let a lead be due, after those of its contact that are due already."""
        if due.key in self._current:
            self._later[due.key].append(due)
            return
        if due.own is not None:
            self._own.expect(due.key, *due.own)
        self._current[due.key] = due
        self.add(due.key, due.lead_id, due.cursor)

    def keep(self, due: DueLead, why: KeepReason) -> None:
        """Note that a lead is kept."""
        self.kept[due.lead_id] = KeptLead(due.contact, due.lead_id, why)

    def drop(self, key: int) -> None:
        """Let the contact's lead be due no more, and then its next one."""
        super().drop(key)
        del self._current[key]
        if waiting := self._later[key]:
            self.delete(waiting.popleft())

    # Looks

    def page_of(self, key: int) -> PageToRead:
        """The lead's page, or first that of the contact's own lead, if that has to be there."""
        return self._own.page_to_read(key) or super().page_of(key)

    def looked_at(self, contact: SeenContact) -> float:
        """When the lead was seen, and the contact's own one, if that has to be there."""
        return min(contact.seen_at, self._own.seen_at(contact.key))

    def on_page(self, page: LeadPage, cursor: str | None, began_at: float) -> None:
        """Judge the leads of the page that are due."""
        self._own.on_page(page, cursor, began_at)
        super().on_page(page, cursor, began_at)

    def on_listing_complete(self, began_at: float) -> None:
        """Drop leads that the listing did not show, or whose contact's own lead it did not."""
        for key in self._own.lost(self._current.keys() - self._open, began_at):
            for due in (self._current[key], *self._later.pop(key, ())):
                self.keep(due, KeepReason.OWN_NOT_LISTED)
            self.drop(key)
        super().on_listing_complete(began_at)

    def examine(
        self, leads: Mapping[int, Mapping[str, Any]], seen_at: float
    ) -> Sequence[SeenContact]:
        """Those that may be deleted as they are now."""
        self._judgement.shown.update(*leads.values())
        found = []
        for contact in self._ledger.undoing.contacts(leads):
            due, there = self._current[contact.key], leads[contact.key]
            if is_removed(there):
                self._await_proof(due)
            elif why := self._judgement.reason(contact, there, is_own=due.own is None):
                self.keep(due, why)
            else:
                who = (contact.key, contact.hubspot_id)
                found.append(SeenContact(*who, {}, due.lead_id, there, seen_at=seen_at))
        if self._source is not None:
            self._source.expect([one.hubspot_id for one in found])
        return found

    def on_missing(self, key: int) -> None:
        """Note that a lead is not there any more."""
        self._await_proof(self._current[key])

    def _await_proof(self, due: DueLead) -> None:
        self.unproven[due.lead_id] = due
        self.rounds[due.lead_id] += 1

    # Attempts

    def body(self, contact: ContactToSend) -> bytes:
        """The lead's id, as it is hashed; a delete has no body."""
        return seen(contact).lead_id.encode()

    def intent(self, contact: ContactToSend, body: bytes) -> Intent:
        """A delete."""
        one, due = seen(contact), self._current[contact.key]
        overrode = {"doubled": "undo"} if due.own is not None else None
        if overrode is None and self._ledger.undoing.contacts([contact.key])[0].is_adopted:
            overrode = {"adopted": "undo"}
        about = (one.lead_id, None, one.there, None, overrode)
        return Intent(contact.key, payload_hash(body), WriteKind.DELETE, *about)

    def send(
        self, contact: ContactToSend, body: bytes, may_leave: Callable[[], None]
    ) -> SendOutcome:
        """DELETE, once HubSpot was asked if that is needed."""
        source, lead_id = self._source, seen(contact).lead_id
        if source is None:
            return self._leadgenius.delete_lead(lead_id, may_leave)
        source.confirm(contact.hubspot_id)

        def may_still_leave() -> None:
            may_leave()
            source.check_age(contact.hubspot_id)

        return self._leadgenius.delete_lead(lead_id, may_still_leave)

    def on_held(self, key: int, hold: Hold) -> None:
        """Keep a lead that LeadGenius did not delete."""
        if (due := self._current.get(key)) is not None:
            is_refused = hold is Hold.REFUSED
            self.keep(due, KeepReason.REFUSED if is_refused else KeepReason.GAVE_UP)
        super().on_held(key, hold)

    def on_result(self, result: AttemptResult) -> None:
        """Note how an attempt ended."""
        due = self._current.get(result.key)
        if due is not None and result.outcome in (Outcome.DELETED, Outcome.FOUND):
            self._await_proof(due)
        super().on_result(result)
        is_back = self._source is not None and due is not None and self._source.is_back(due.contact)
        if due is not None and is_back and result.outcome is Outcome.UNSENT:
            self.keep(due, KeepReason.BACK_AT_HUBSPOT)
            self.drop(due.key)
