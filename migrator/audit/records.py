"""The rows of a ledger that the audit reads, and what follows from them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class NotALedger(Exception):
    """The file is missing, damaged or not a ledger; the message says which."""


@dataclass(frozen=True)
class JourneyBinding:
    """
    The portal and client of the ledger, and what its probes found of how leads are stored.

    Args:
        is_forgotten: Whether personal data was erased.
        fields_kept: The fields that are stored, by each probe.
        notes_limits: Characters of notes that are stored, by each probe that found them cut.
    """

    portal_id: str | None
    leadgenius_url: str | None
    client_id: str | None
    is_forgotten: bool
    fields_kept: tuple[tuple[str, ...], ...] = ()
    notes_limits: tuple[int, ...] = ()


class Attempt(NamedTuple):
    """
    An attempt to write; times in milliseconds since the epoch.

    Args:
        kind: `create`, `update` or `delete`.
        lead_id: Of a create the lead that it made, of the others the one that they change.
        fields: The values that an update sends, as JSON; None = it is none, or they were erased.
        before: The lead as it was listed right before, as JSON; None = not stored, or erased.
        base: What LeadGenius was told once an update is taken, as JSON; None = as `fields`.
        overrode: What a person decided against the rules, as JSON; None = nothing.
        made_status: `status` of the lead that a create made; None = not shown.
    """

    number: int
    run_id: int
    kind: str
    payload_hash: str
    sent_ms: int
    status: int | None
    outcome: str | None  # None = in doubt
    settled_ms: int | None
    lead_id: str | None
    fields: str | None
    before: str | None
    base: str | None
    overrode: str | None
    made_status: str | None

    @property
    def has_lead(self) -> bool:
        """Whether it is known to have created a lead."""
        return self.kind == "create" and self.outcome in ("created", "found")

    @property
    def has_updated(self) -> bool:
        """Whether it is known to have changed its lead."""
        return self.kind == "update" and self.outcome in ("updated", "found")

    @property
    def has_deleted(self) -> bool:
        """Whether LeadGenius is known to have taken a delete."""
        return self.kind == "delete" and self.outcome in ("deleted", "found")


class Event(NamedTuple):
    """An entry of a contact's history."""

    number: int
    source: str | None  # None = the first entry
    target: str
    held: str | None


class FormerBase(NamedTuple):
    """
    A lead that the contact had until it was replaced by another one.

    Args:
        attempt: Number of the contact's last attempt then.
        lead_id: Its lead at LeadGenius then; None = it had none.
        lead: What it was told, or would have been sent, as JSON.
        new_lead: What HubSpot gave then, as JSON; None = the same.
    """

    attempt: int
    lead_id: str | None
    lead: str
    new_lead: str | None


class ContactEvidence(NamedTuple):
    """
    A contact with all evidence about it.

    Args:
        lead: The lead as JSON, without the client_id: as it will be sent, or as LeadGenius was last
            told; None = not mapped.
        is_erased: Whether its personal data was erased.
        gone: Why HubSpot has it no more; None = it has it.
        successor: The contact that has its lead now; None = none has.
        predecessors: Contacts whose lead it took over, and the leads of them as JSON.
        inherited: The attempts of those.
        bases: Its former leads, oldest first.
        listed: Ids of the listed leads with its record line, or with that of a predecessor. If its
            own lead is not listed, those of other contacts are left out: LeadGenius merged leads.
        left: Ids of the listed leads that its attempts created and that no contact has.
        same_email: Ids of the listed leads with its e-mail and without a record line.
        lead_is_listed: Whether the lead that the ledger names is listed.
        deleted_but_listed: Ids of the listed leads that its attempts have deleted.
    """

    hubspot_id: str
    state: str
    held: str | None
    lead: str | None
    lead_id: str | None
    is_erased: bool
    gone: str | None
    merged_into: str | None
    successor: str | None
    predecessors: Mapping[str, str]
    attempts: Sequence[Attempt]
    inherited: Sequence[Attempt]
    events: Sequence[Event]
    bases: Sequence[FormerBase]
    listed: Sequence[str]
    left: Sequence[str]
    same_email: Sequence[str]
    lead_is_listed: bool
    deleted_but_listed: Sequence[str]

    @property
    def is_in_doubt(self) -> bool:
        """Whether one of its attempts has no outcome."""
        return any(attempt.outcome is None for attempt in self.attempts)

    @property
    def is_emptied(self) -> bool:
        """Whether its values were erased, or those that it took over from a predecessor."""
        return self.is_erased or "{}" in self.predecessors.values()

    @property
    def releases(self) -> int:
        """How often it was free to be sent again: its lead was given up, or another contact's."""
        returns = 0
        for _, source, target, held in self.events:
            returns += target == "mapped" and source in ("posted", "verified")
            returns += held == "already_in_destination"
        return returns

    @property
    def is_being_undone(self) -> bool:
        """Whether its lead was deleted, and no listing has shown yet that it is gone."""
        return any(one.has_deleted and one.lead_id == self.lead_id for one in self.attempts)

    @property
    def lead_ids(self) -> set[str | None]:
        """
        Leads that it is known to have had, as opposed to those of other contacts.

        A service may answer a create with the lead of another contact.
        """
        own = {self.lead_id, *(one.lead_id for one in self.bases)}
        if self.successor is not None or self.held == "undone":
            own |= {one.lead_id for one in self.attempts if one.has_lead}
        return own

    def creates(self) -> Iterator[Attempt]:
        """Its attempts, and those of its predecessors, that made a lead."""
        return (one for one in (*self.attempts, *self.inherited) if one.has_lead)

    def base_at(self, number: int) -> str | None:
        """The lead that it had when an attempt of its own was written, as JSON."""
        if not self.bases:  # nearly all
            return self.lead
        return next((one.lead for one in self.bases if one.attempt >= number), self.lead)


def fields(text: str | None) -> dict[str, Any]:
    """Parse a JSON object; {} = there is none."""
    found = json.loads(text or "{}")
    return found if isinstance(found, dict) else {}
