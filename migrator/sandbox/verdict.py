"""
The verdict: compares the leads that LeadGenius holds with the expected ones, and judges the writes.

It uses only data of the sandbox, none of the migrator.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from migrator.sandbox.addresses import normal
from migrator.sandbox.expected_leads import RECORD, ExpectedLead
from migrator.sandbox.lead_history import RecordedChange, notes_of
from migrator.sandbox.lead_store import StoredLead
from migrator.sandbox.lost_edits import EditedLead, LostEdits, replayed
from migrator.sandbox.messages import Lead

# Fields that the service adds or needs.
_NOT_COMPARED = frozenset({"id", "client_id", "createdAt", "updatedAt"})


@dataclass(frozen=True, slots=True)
class SandboxVerdict:
    """
    The result of a migration.

    Args:
        contacts: Contacts in the portal.
        sendable: Contacts that the guide allows to send.
        held_leads: All leads in use of all clients, planted ones included.
        lost: Sendable contacts without a visible lead, even if a fault made the service refuse it.
        duplicated: Contacts with more than one lead.
        wrong: Contact and field: the value differs from the guide's mapping, is missing, or must
            not be there. This applies only to leads of that mapping.
        strange: Ids of leads without a contact. Planted leads count only with a record line; leads
            of removed contacts do not count.
        undone: Sendable contacts whose lead the tool deleted; they are not lost.
        taken_away: Lost contacts whose lead a person deleted, marked or moved away.
        edited: Contact and field: the value, or a line of it, is a person's. It is not wrong.
        edits: What the writes of the tool destroyed.
    """

    contacts: int = 0
    sendable: int = 0
    held_leads: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    taken_away: list[str] = field(default_factory=list)
    edited: list[tuple[str, str]] = field(default_factory=list)
    edits: LostEdits = field(default_factory=LostEdits)

    @property
    def ok(self) -> bool:
        """Whether nothing is lost, duplicated, wrong or strange, and no write did harm."""
        return not (
            self.lost or self.duplicated or self.wrong or self.strange or self.edits.is_harm
        )

    def __str__(self) -> str:
        by_what = " by the guide's mapping" if self.wrong else ""
        return (
            f"{self.contacts:,} contacts, {self.sendable:,} to send, {self.held_leads:,} leads held"
            f": {len(self.lost):,} lost, {len(self.duplicated):,} duplicated, "
            f"{len(self.wrong):,} wrong{by_what}, {len(self.strange):,} strange"
            f"{self._more()}"
        )

    def _more(self) -> str:
        """What is rare, and is said only where it happened."""
        counts: dict[str, Sized] = {
            "contacts undone": self.undone,
            "of the lost were taken away by people": self.taken_away,
            "values edited by people": self.edited,
            "edits of people overwritten": self.edits.overwritten,
            "edits overwritten between look and write": self.edits.overwritten_unseen,
            "newer values reverted by an earlier write": self.edits.reverted,
            "edits reverted by a late write": self.edits.reverted_edits,
            "edited leads deleted": self.edits.deleted_edited,
            "leads deleted that were edited between look and write": self.edits.deleted_unseen,
            "leads deleted that the tool had not created": self.edits.deleted_foreign,
            "values changed of leads that it had not created": self.edits.changed_foreign,
            "writes without a fresh look": self.edits.blind_writes,
        }
        said = [f"{len(found):,} {words}" for words, found in counts.items() if found]
        return f"; {', '.join(said)}" if said else ""

    def as_json(self) -> dict[str, Any]:
        """Every field, those of `edits` among them, and `ok`."""
        fields = asdict(self)
        edits = fields.pop("edits")
        return {"ok": self.ok, **fields, **edits}


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    The data for the verdict.

    Args:
        held: Leads in use, without those marked as deleted or as duplicates.
        client_ids: Clients whose leads are visible (guide, bug 1).
        removed: Whether a contact of that id was removed from the portal.
        history: All that happened to the leads, in order.
        look_seconds: How old the look may be that a write relies on.
        first_status: The status that the service gives a lead; "" = none.
    """

    expected: Iterable[ExpectedLead]
    held: Collection[StoredLead]
    client_ids: Collection[str]
    portal_id: str
    removed: Callable[[str], bool]
    history: Sequence[RecordedChange] = ()
    look_seconds: float = 60.0
    first_status: str = ""


class _Claims:
    """
    The leads by contact: by the record line in the notes, else by e-mail.

    Of a lead that people edited, what the tool wrote decides.
    """

    def __init__(self, evidence: Evidence, leads: Mapping[str, EditedLead]) -> None:
        self.by_contact: dict[str, list[StoredLead]] = defaultdict(list)
        self.by_email: dict[str, list[StoredLead]] = defaultdict(list)
        self.invisible: list[StoredLead] = []
        self.undone: set[str] = set()
        self.taken_away: set[str] = set()
        self._leads = leads
        self._prefix = f"{RECORD}{evidence.portal_id}/"
        for held in evidence.held:
            if held.client_id in evidence.client_ids:
                self._file(held)
            elif not self._is_moved(held):
                self.invisible.append(held)
        in_use = {held.id for held in evidence.held if held.client_id in evidence.client_ids}
        for lead_id, lead in leads.items():
            if lead_id not in in_use and lead.last is not None:
                is_undone = lead.last.kind == "delete" and lead.last.is_of_tool
                gone = self.undone if is_undone else self.taken_away
                gone.update(filter(None, self._names(lead.told)))

    def _file(self, held: StoredLead) -> None:
        edited = self._leads.get(held.id)
        contact_id, email = self._names(
            held.lead() if edited is None else {**held.lead(), **edited.told}
        )
        if contact_id:
            self.by_contact[contact_id].append(held)
        else:
            self.by_email[email].append(held)

    def _is_moved(self, held: StoredLead) -> bool:
        edited = self._leads.get(held.id)
        return edited is not None and "client_id" in edited.edited_fields()

    def _names(self, lead: Lead) -> tuple[str | None, str]:
        """The contact that the record line names, and the e-mail."""
        email = normal(str(lead.get("email") or ""))
        for line in notes_of(lead):
            if line.startswith(self._prefix) and line.endswith("]"):
                return line.removeprefix(self._prefix).removesuffix("]"), email
        return None, email


def judge(evidence: Evidence) -> SandboxVerdict:
    """Compare every contact with its leads, and list the leads without a contact."""
    edits, leads = replayed(evidence.history, evidence.look_seconds)
    claims = _Claims(evidence, leads)
    verdict = SandboxVerdict(held_leads=len(evidence.held), edits=edits)
    contacts = sendable = 0
    for expected in evidence.expected:
        contacts += 1
        if expected.lead is None:
            continue
        sendable += 1
        email = normal(expected.lead["email"])
        ours = claims.by_contact.pop(expected.contact_id, [])
        others = claims.by_email.pop(email, [])
        # After a merge, the lead of an old contact counts for the new one.
        if not ours and not others and not any(map(claims.by_contact.get, expected.merged)):
            names = {expected.contact_id, email}
            (verdict.undone if names & claims.undone else verdict.lost).append(expected.contact_id)
            if names & claims.taken_away and not names & claims.undone:
                verdict.taken_away.append(expected.contact_id)
        if len(ours) + len(others) > 1:
            verdict.duplicated.append(expected.contact_id)
        # Planted leads have values of their own.
        wrong: set[str] = set()
        for held in (*ours, *(held for held in others if not held.planted)):
            wrong |= _wrong(expected.lead, held.lead(), leads.get(held.id), evidence)
            if (edited := leads.get(held.id)) is not None:
                names = edited.edited_fields()
                verdict.edited.extend((expected.contact_id, name) for name in sorted(names))
        verdict.wrong.extend((expected.contact_id, name) for name in sorted(wrong))
    verdict.strange.extend(_strange(claims, evidence))
    return replace(verdict, contacts=contacts, sendable=sendable)


def _wrong(expected: Lead, lead: Lead, history: EditedLead | None, evidence: Evidence) -> set[str]:
    """The fields that differ, but for those that people edited."""
    names = (expected.keys() | lead.keys()) - _NOT_COMPARED
    if evidence.first_status and lead.get("status") == evidence.first_status:
        names.discard("status")
    edited = set() if history is None else history.edited_fields()
    wrong = {name for name in names - edited if expected.get(name) != lead.get(name)}
    if history is not None and "notes" in edited:
        ours = [line for line in notes_of(lead) if ("notes", line) not in history.edits]
        due = [line for line in notes_of(expected) if line not in history.removed_lines]
        wrong.update(["notes"] if ours != due else [])
    return wrong


def _strange(claims: _Claims, evidence: Evidence) -> list[str]:
    strange = [held for held in claims.invisible if not held.planted]
    for contact_id, leads in claims.by_contact.items():
        if not evidence.removed(contact_id):
            strange.extend(leads)
    for leads in claims.by_email.values():
        strange.extend(held for held in leads if not held.planted)
    return [held.id for held in strange]
