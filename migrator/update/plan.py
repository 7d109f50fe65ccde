"""What an update would do, as the first listing of the client shows it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from migrator.comparison import LeadChange, listed_text
from migrator.leadgenius import LeadPage
from migrator.ledger import ChangedContact
from migrator.update.changes import UpdateComparison

# So many lines of the table are kept.
MOST_ROWS = 1_000


@dataclass(frozen=True)
class PlannedField:
    """
    A field of a lead, and what an update would do with it.

    Args:
        what: `change`, `conflict`, `already`, `kept`, `not_cleared`, `not_shown` or
            `not_kept`.
        sent: What LeadGenius was last told; `None` = not known.
        there: What the listing shows.
        new: What HubSpot has now; "" = nothing.
    """

    hubspot_id: str
    name: str
    what: str
    sent: str | None
    there: str
    new: str


@dataclass
class UpdatePlan:
    """
    The contacts of an update.

    Args:
        to_write: Lead and page of each contact whose lead would be changed, by key.
        to_note: Contacts that need no write, with what the comparison has shown.
        missing: Keys of contacts whose lead is not listed, or marked as deleted.
        rows: The first fields of it, for people.
        fields: How many fields in all.
        told: Fields that LeadGenius was told of the leads that would be changed.
    """

    to_write: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    to_note: list[tuple[ChangedContact, LeadChange]] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    rows: list[PlannedField] = field(default_factory=list)
    fields: int = 0
    told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._seen: set[int] = set()
        self._is_unlike_base = False
        # Leads that lack a field or get an e-mail, and their pages: a later page may show that
        # listings have that field, or another lead with that e-mail.
        self._hidden: dict[str, tuple[Mapping[str, Any], str | None]] = {}

    def clear(self) -> None:
        """Begin again, with another listing."""
        self.__init__()  # type: ignore[misc]

    def take(self, page: LeadPage, cursor: str | None, comparison: UpdateComparison) -> None:
        """Compare the leads of a page."""
        leads = {str(lead["id"]): lead for lead in page.leads}
        for contact, change in comparison.of(leads):
            self._seen.add(contact.key)
            there = leads[contact.lead_id]
            if change is not None and (change.not_shown or "email" in change.changes):
                self._hidden[contact.lead_id] = (there, cursor)
            else:
                self._note(contact, change, there, cursor)

    def _note(
        self,
        contact: ChangedContact,
        change: LeadChange | None,
        there: Mapping[str, Any],
        cursor: str | None,
    ) -> None:
        if change is None:
            self.missing.append(contact.key)
            return
        self._is_unlike_base |= change.is_unlike_base
        if change.changes:
            self.told.update(contact.base)
            self.to_write[contact.key] = (contact.lead_id, cursor)
        else:
            self.to_note.append((contact, change))
        for row in _rows(contact, change, there):
            self.fields += 1
            if len(self.rows) < MOST_ROWS:
                self.rows.append(row)

    def end(self, due: Iterator[tuple[int, str]], comparison: UpdateComparison) -> None:
        """Compare what had to wait for all pages, and note which of those due none has shown."""
        hidden = self._hidden
        for contact, change in comparison.of({key: there for key, (there, _) in hidden.items()}):
            self._note(contact, change, *hidden[contact.lead_id])
        self.missing += [key for key, _ in due if key not in self._seen]

    @property
    def has_surprises(self) -> bool:
        """Whether a lead is missing, or not as it was told: a later listing could show it so."""
        return bool(self.missing) or self._is_unlike_base


def _rows(
    contact: ChangedContact, change: LeadChange, there: Mapping[str, object]
) -> Iterator[PlannedField]:
    new = contact.base if contact.new is None else contact.new
    for what, names in (
        ("change", change.changes),
        ("conflict", change.conflicts),
        ("already", change.already),
        ("kept", change.kept),
        ("not_cleared", change.not_cleared),
        ("not_shown", change.not_shown),
        ("not_kept", change.not_kept),
    ):
        for name in sorted(names):
            sent, shown = contact.base.get(name, ""), listed_text(there.get(name))
            yield PlannedField(contact.hubspot_id, name, what, sent, shown, new.get(name, ""))
