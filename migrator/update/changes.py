"""The leads that an update writes, each compared as it was seen at most a minute ago."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from migrator.comparison import (
    NEVER_PROBED,
    Clearing,
    LeadChange,
    LeadStorage,
    Preference,
    adopted_base,
    compare_lead,
    whole_lead,
)
from migrator.errors import NotReady
from migrator.http import SendOutcome
from migrator.leadgenius import LeadGenius
from migrator.ledger import ChangedContact, ContactToSend, Intent, LeadIdentity, Ledger
from migrator.mapping import email_key, is_removed
from migrator.push.seen_leads import SeenContact, SeenLeads, seen
from migrator.push.writes import body_of, payload_hash
from migrator.states import Hold, WriteKind


@dataclass(frozen=True)
class UpdateChoice:
    """
    What a user asked for.

    Args:
        keys: Only these contacts; `None` = all.
        prefer: Whose value a field in conflict gets.
    """

    keys: frozenset[int] | None = None
    prefer: Preference = Preference.ASK

    @property
    def decides(self) -> bool:
        """Whether what `verify` holds as different is decided, too."""
        return self.prefer is not Preference.ASK


@dataclass
class ChangesSeen:
    """
    What looks have shown of the contacts of this update, by their keys.

    Args:
        already: All of HubSpot's changes were there.
        conflicts, not_cleared, not_shown: A field is in conflict, was emptied at HubSpot, or is not
            shown by the listing.
        missing: Its lead is not there, or marked as deleted.
    """

    already: set[int] = field(default_factory=set)
    conflicts: set[int] = field(default_factory=set)
    not_cleared: set[int] = field(default_factory=set)
    not_shown: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)

    def take(self, contact: ChangedContact, change: LeadChange) -> None:
        """Take the latest comparison of a contact."""
        for found, is_so in (
            (self.already, change.is_already),
            (self.conflicts, bool(change.conflicts)),
            (self.not_cleared, bool(change.not_cleared) or contact.is_unusable),
            (self.not_shown, bool(change.not_shown)),
        ):
            (found.add if is_so else found.discard)(contact.key)


class _TakenEmails:
    """
    The e-mails of other contacts' leads, as a container for one contact.

    Args:
        given: Which contact gets an e-mail by this update, by the e-mail.
        unknown: Those of listed leads of contacts that the ledger does not have.
    """

    def __init__(
        self, ledger: Ledger, key: int, given: Mapping[str, int], unknown: Collection[str]
    ) -> None:
        self._ledger, self._key, self._given, self._unknown = ledger, key, given, unknown

    def __contains__(self, email: object) -> bool:
        if self._given.get(str(email), self._key) != self._key or email in self._unknown:
            return True
        return self._ledger.updates.has_other_lead(self._key, str(email))


class UpdateComparison:
    """
    Compares contacts with their listed leads.

    Args:
        storage: What LeadGenius stores and lists of a lead.

    Attributes:
        shown: Fields that the listing has shown on any lead.
    """

    def __init__(
        self, ledger: Ledger, choice: UpdateChoice, storage: LeadStorage = NEVER_PROBED
    ) -> None:
        self._ledger = ledger
        self._choice = choice
        self._storage = storage
        self.shown: set[str] = set()
        self._given: dict[str, int] = {}
        self._unknown: set[str] = set()

    def begin(self) -> None:
        """Forget which leads of unknown contacts an earlier listing has shown."""
        self._unknown.clear()

    def take(self, page: Sequence[LeadIdentity]) -> None:
        """
        Note the listed leads of contacts that the ledger does not have.

        An older copy of the ledger does not know what was sent to a contact that is gone since.
        """
        self._unknown |= self._ledger.updates.unknown_emails(page)

    def of(
        self, leads: Mapping[str, Mapping[str, Any]]
    ) -> list[tuple[ChangedContact, LeadChange | None]]:
        """What to change in these leads (by id); `None` = the lead is marked as deleted."""
        self.shown.update(*leads.values())
        choice = self._choice
        due = self._ledger.updates.due(list(leads), choice.keys, decides=choice.decides)
        # An update that replaces the lead clears what it leaves out, as `whole_lead` leaves out
        # null; a ledger's first update may have found that out without a probe.
        storage = self._storage
        if self._ledger.updates.replaces():
            storage = replace(storage, clearing=Clearing.NULL)
        return [(one, self._change(one, leads[one.lead_id], storage)) for one in due]

    def check_shows_whole(self, told: Collection[str]) -> None:
        """
        Raise NotReady if the listing does not show all that a replacing update would empty.

        Args:
            told: Fields that LeadGenius was told of the leads.
        """
        if hidden := sorted(set(told) - self.shown - self._storage.dropped):
            raise NotReady(
                "LeadGenius's updates empty every field that they do not name, and its listing "
                f"does not show {', '.join(hidden)}, so an update would lose it. Nothing was sent.",
                "correct the leads in LeadGenius; migrator show CONTACT has the values",
            )

    def _change(
        self, contact: ChangedContact, there: Mapping[str, Any], storage: LeadStorage
    ) -> LeadChange | None:
        if is_removed(there):
            return None
        base: Mapping[str, str | None] = contact.base
        if contact.is_adopted:
            base = adopted_base(contact.base, there) | {
                name: value for name, value in contact.base.items() if name in contact.told
            }
        new = contact.base if contact.new is None else contact.new
        change = compare_lead(
            base,
            new,
            there,
            shown=self.shown | storage.shown,
            prefer=self._choice.prefer,
            decided=contact.decided,
            disputed=contact.differs,
            taken_emails=_TakenEmails(self._ledger, contact.key, self._given, self._unknown),
            storage=storage,
        )
        if email := change.changes.get("email"):
            self._given[email_key(email) or ""] = contact.key
        return change


class LeadUpdates(SeenLeads):
    """The updates that are due."""

    kind = WriteKind.UPDATE
    noun = "updates"

    def __init__(
        self, ledger: Ledger, leadgenius: LeadGenius, client_id: str, comparison: UpdateComparison
    ) -> None:
        super().__init__()
        self._ledger = ledger
        self._leadgenius = leadgenius
        self._client_id = client_id
        self._comparison = comparison
        self._restored: dict[int, Mapping[str, Any]] = {}
        self.seen = ChangesSeen()

    def restore(self, key: int, lead_id: str, values: Mapping[str, Any]) -> None:
        """Put these values back into a lead, where it has none, and do nothing else."""
        for other in self.due():
            self.drop(other)
        self._restored[key] = values
        self.add(key, lead_id, None, is_moved=True)

    def has_taken(self) -> bool:
        """Whether LeadGenius ever took an update of this ledger."""
        return bool(self._ledger.updates.taken(1))

    def examine(
        self, leads: Mapping[int, Mapping[str, Any]], seen_at: float
    ) -> Sequence[SeenContact]:
        """Compare, store what is known now, and return what is to be written."""
        found = [
            self._restoring(key, leads[key], seen_at) for key in leads if key in self._restored
        ]
        there = {str(lead["id"]): lead for key, lead in leads.items() if key not in self._restored}
        for contact, change in self._comparison.of(there):
            if change is None:
                self.on_missing(contact.key)
                continue
            self.conclude(contact, change)
            if change.changes:
                if self._ledger.updates.replaces():
                    self._comparison.check_shows_whole(contact.base)
                who = (contact.key, contact.hubspot_id, change.changes, contact.lead_id)
                base = known(change.base_after, contact)
                how = (there[contact.lead_id], base, seen_at, change.overrode)
                found.append(SeenContact(*who, *how))
        return found

    def _restoring(self, key: int, there: Mapping[str, Any], seen_at: float) -> SeenContact:
        (contact,) = self._ledger.lookup.summaries([key])
        values = {
            name: value
            for name, value in self._restored[key].items()
            if there.get(name) in (None, "")
        }
        who = (key, contact.hubspot_id, values, str(there["id"]))
        return SeenContact(*who, there, self._ledger.updates.base(key), seen_at)

    def conclude(self, contact: ChangedContact, change: LeadChange) -> None:
        """Store what a comparison has shown, before anything is written."""
        self.seen.take(contact, change)
        updates, base = self._ledger.updates, known(change.base_now, contact)
        email = email_key(base.get("email"))
        if email and "email" in change.kept and updates.has_other_lead(contact.key, email):
            email = None  # the lead is not the one with this e-mail
        updates.write_comparison(
            contact.key, base, change.conflicts, change.kept, change.overrode, email
        )

    def on_missing(self, key: int) -> None:
        """Hold a contact whose lead is not there."""
        self.seen.missing.add(key)
        self._ledger.updates.hold_missing(key)

    def on_held(self, key: int, hold: Hold) -> None:
        """As `SeenLeads`; LeadGenius may say that there is no such lead."""
        if hold is Hold.MISSING:
            self.seen.missing.add(key)
        super().on_held(key, hold)

    def body(self, contact: ContactToSend) -> bytes:
        """The changed fields, or the whole lead with them."""
        one, values = seen(contact), contact.lead
        if self._ledger.updates.replaces():
            values = whole_lead(one.there, contact.lead)
        return body_of({"id": one.lead_id, "client_id": self._client_id, **values})

    def intent(self, contact: ContactToSend, body: bytes) -> Intent:
        """An update, with the lead as it was."""
        one = seen(contact)
        written = (one.lead_id, one.lead, one.there, one.base, one.overrode or None)
        return Intent(contact.key, payload_hash(body), WriteKind.UPDATE, *written)

    def send(
        self, contact: ContactToSend, body: bytes, may_leave: Callable[[], None]
    ) -> SendOutcome:
        """PUT."""
        return self._leadgenius.update_lead(body, may_leave)


def known(base: Mapping[str, str | None], contact: ChangedContact) -> dict[str, str]:
    """A base to be stored: where it is unknown, as of an adopted lead, what we would have sent."""
    return {name: contact.base[name] if value is None else value for name, value in base.items()}
