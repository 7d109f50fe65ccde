"""
The verdict: compares the leads that LeadGenius holds with the expected ones.

It uses only data of the sandbox, none of the migrator.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from migrator.sandbox.addresses import normal
from migrator.sandbox.expected_leads import RECORD, ExpectedLead
from migrator.sandbox.lead_store import StoredLead
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
    """

    contacts: int = 0
    sendable: int = 0
    held_leads: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is lost, duplicated, wrong or strange."""
        return not (self.lost or self.duplicated or self.wrong or self.strange)

    def __str__(self) -> str:
        by_what = " by the guide's mapping" if self.wrong else ""
        return (
            f"{self.contacts:,} contacts, {self.sendable:,} to send, {self.held_leads:,} leads held"
            f": {len(self.lost):,} lost, {len(self.duplicated):,} duplicated, "
            f"{len(self.wrong):,} wrong{by_what}, {len(self.strange):,} strange"
        )

    def as_json(self) -> dict[str, Any]:
        """Every field, and `ok`."""
        return {"ok": self.ok, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    The data for the verdict.

    Args:
        held: Leads in use, without those marked as deleted or as duplicates.
        client_ids: Clients whose leads are visible (guide, bug 1).
        removed: Whether a contact of that id was removed from the portal.
    """

    expected: Iterable[ExpectedLead]
    held: Collection[StoredLead]
    client_ids: Collection[str]
    portal_id: str
    removed: Callable[[str], bool]


class _Claims:
    """The leads by contact: by the record line in the notes, else by e-mail."""

    def __init__(self, evidence: Evidence) -> None:
        self.by_contact: dict[str, list[StoredLead]] = defaultdict(list)
        self.by_email: dict[str, list[StoredLead]] = defaultdict(list)
        self.invisible: list[StoredLead] = []
        self._prefix = f"{RECORD}{evidence.portal_id}/"
        for held in evidence.held:
            if held.client_id in evidence.client_ids:
                self._file(held)
            else:
                self.invisible.append(held)

    def _file(self, held: StoredLead) -> None:
        lead = held.lead()
        if contact_id := self._contact_of(lead):
            self.by_contact[contact_id].append(held)
        else:
            self.by_email[normal(str(lead.get("email") or ""))].append(held)

    def _contact_of(self, lead: Lead) -> str | None:
        for line in str(lead.get("notes", "")).splitlines():
            if line.startswith(self._prefix) and line.endswith("]"):
                return line.removeprefix(self._prefix).removesuffix("]")
        return None


def judge(evidence: Evidence) -> SandboxVerdict:
    """Compare every contact with its leads, and list the leads without a contact."""
    claims = _Claims(evidence)
    contacts = sendable = 0
    lost: list[str] = []
    duplicated: list[str] = []
    wrong: list[tuple[str, str]] = []
    for expected in evidence.expected:
        contacts += 1
        if expected.lead is None:
            continue
        sendable += 1
        ours = claims.by_contact.pop(expected.contact_id, [])
        others = claims.by_email.pop(normal(expected.lead["email"]), [])
        # After a merge, the lead of an old contact counts for the new one.
        if not ours and not others and not any(map(claims.by_contact.get, expected.merged)):
            lost.append(expected.contact_id)
        if len(ours) + len(others) > 1:
            duplicated.append(expected.contact_id)
        # Planted leads have values of their own.
        compared = [*ours, *(held for held in others if not held.planted)]
        faults = {name for held in compared for name in _faults(expected.lead, held.lead())}
        wrong.extend((expected.contact_id, name) for name in sorted(faults))
    strange = _strange(claims, evidence)
    return SandboxVerdict(contacts, sendable, len(evidence.held), lost, duplicated, wrong, strange)


def _faults(expected: dict[str, str], lead: Lead) -> set[str]:
    names = (expected.keys() | lead.keys()) - _NOT_COMPARED
    return {name for name in names if expected.get(name) != lead.get(name)}


def _strange(claims: _Claims, evidence: Evidence) -> list[str]:
    strange = [held for held in claims.invisible if not held.planted]
    for contact_id, leads in claims.by_contact.items():
        if not evidence.removed(contact_id):
            strange.extend(leads)
    for leads in claims.by_email.values():
        strange.extend(held for held in leads if not held.planted)
    return [held.id for held in strange]
