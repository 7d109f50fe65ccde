"""
Where every contact stands, as plain data: one snapshot of the ledger, and what follows from it.

What services gave loses its control characters here, on its way in. It changes nothing, asks no
service and shows nothing.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from migrator.completeness import Completeness
from migrator.ledger import Binding, Checkpoint, EditedContact, HeldContact, Ledger, Run, is_locked
from migrator.states import Hold, State
from migrator.text import one_line

EXAMPLES = 3
LAST_RUNS = 5
LONGEST_DETAIL = 200


@dataclass(frozen=True)
class StateCounts:
    """Contacts in one state; those in flight or in doubt are neither free nor held."""

    free: int = 0
    in_doubt: int = 0
    held: int = 0

    @property
    def total(self) -> int:
        """All contacts in the state."""
        return self.free + self.in_doubt + self.held


@dataclass(frozen=True)
class HeldGroup:
    """Contacts that wait for a person for one reason, and the first of them."""

    held: Hold
    by_state: Mapping[State, int]
    examples: tuple[HeldContact, ...]

    @property
    def contacts(self) -> int:
        """How many they are."""
        return sum(self.by_state.values())


@dataclass(frozen=True)
class Speed:
    """Of a push at work; `seconds_left=None` = nothing arrived yet to judge by."""

    per_minute: float
    seconds_left: float | None


@dataclass(frozen=True)
class Report:
    """
    Everything that is shown, of one moment.

    Args:
        ledger: The ledger's file.
        states: All four.
        extraction: Where the sweep through HubSpot stands.
        changed: Contacts that changed in HubSpot after they were posted; they are not sent again.
        edited: Contacts whose lead was verified once and differs since.
        unclaimed: Leads that the last verification saw of contacts that have none in the ledger.
        mapping: The hash of the mapping in force; `None` = none was chosen yet.
        sent_by_others: Contacts that were posted as another mapping built them.
        forgotten_ms: When the people were taken out of the ledger; `None` = it knows them.
        last_push: Whether there was a push, and its exit code; `None` = it did not live to say.
        runs: The newest ones, newest first.
        running: The run that is at work now.
        now_ms: The moment, in milliseconds since the epoch.
    """

    ledger: str
    binding: Binding
    states: Mapping[State, StateCounts]
    held: tuple[HeldGroup, ...]
    extraction: Checkpoint
    changed: int
    changed_examples: tuple[str, ...]
    edited: int
    edited_examples: tuple[EditedContact, ...]
    unclaimed: int
    mapping: str | None
    sent_by_others: int
    sent_by_others_examples: tuple[str, ...]
    forgotten_ms: int | None
    last_push: tuple[bool, int | None]
    runs: tuple[Run, ...]
    running: Run | None
    now_ms: int

    @property
    def given(self) -> int:
        """Contacts that HubSpot ever gave, each counted once."""
        return self.extraction.contacts_seen

    @property
    def is_extracted(self) -> bool:
        """Whether a sweep through HubSpot came to its last page, and is whole."""
        return self.why_not_extracted == ""

    @property
    def why_not_extracted(self) -> str:
        """Why contacts of HubSpot may be missing, in words; "" = the last sweep is whole."""
        at = self.extraction
        if not (at.scan > 0 and at.complete):
            return "HubSpot has more pages than were read"
        return Completeness(at.met, at.odd, at.counted).why_not_whole()

    @property
    def accounted(self) -> int:
        """Contacts that the ledger knows the state of."""
        return sum(standing.total for standing in self.states.values())

    @property
    def closes(self) -> bool:
        """Whether every contact that HubSpot gave stands somewhere, and no other (design, I8)."""
        return self.accounted == self.given

    @property
    def in_doubt(self) -> int:
        """Contacts that were sent, and no answer says yet whether they arrived."""
        return self.states[State.MAPPED].in_doubt

    @property
    def speed(self) -> Speed | None:
        """How fast the push at work is; `None` = no push is at work."""
        if self.running is None or self.running.command != "push":
            return None
        minutes = max(self.now_ms - self.running.began_ms, 1) / 60_000
        counters = self.running.counters
        per_minute = (counters.get("posted", 0) + counters.get("found", 0)) / minutes
        left = self.states[State.MAPPED].free + self.in_doubt
        return Speed(per_minute, 60 * left / per_minute if per_minute else None)


# Gathering


def gather(ledger: Ledger, now: Callable[[], float] = time.time) -> Report:
    """Read everything in one transaction, so that a command at work cannot come between."""
    killed = killed_run(ledger)
    with ledger.transaction():
        return snapshot(ledger, killed, now)


def snapshot(ledger: Ledger, killed: int | None, now: Callable[[], float]) -> Report:
    """The part of `gather` that needs a transaction around it; more may be read in the same one."""
    figures, journey = ledger.counts, ledger.runs
    runs = tuple(clean_run(run) for run in journey.newest(LAST_RUNS))
    is_at_work = bool(runs) and runs[0].ended_ms is None and runs[0].id != killed
    changed, changed_examples = figures.changed(EXAMPLES)
    edited, edited_examples = figures.edited(EXAMPLES)
    by_others, by_others_examples = ledger.mappings.sent_with_other(EXAMPLES)
    mapping = ledger.mappings.active()
    return Report(
        ledger=one_line(str(ledger.path)),
        binding=_clean_binding(journey.binding()),
        states=_states(ledger),
        held=tuple(_waiting(ledger)),
        extraction=journey.checkpoint("extraction"),
        changed=changed,
        changed_examples=tuple(map(one_line, changed_examples)),
        edited=edited,
        edited_examples=tuple(
            EditedContact(one_line(one.hubspot_id), one_line(one.fields)) for one in edited_examples
        ),
        unclaimed=journey.unclaimed(),
        mapping=None if mapping is None else mapping.hash,
        sent_by_others=by_others,
        sent_by_others_examples=tuple(map(one_line, by_others_examples)),
        forgotten_ms=ledger.erasure.erased_at(),
        last_push=journey.last_exit_code("push", before=sys.maxsize),
        runs=runs,
        running=runs[0] if is_at_work else None,
        now_ms=int(now() * 1000),
    )


def killed_run(ledger: Ledger) -> int | None:
    """The newest run, if it has no end and its process is gone."""
    # Asked before the snapshot, because a run that begins after the look at the lock is alive.
    newest = ledger.runs.newest(1)
    if newest and newest[0].ended_ms is None and not is_locked(ledger.path):
        return newest[0].id
    return None


def _states(ledger: Ledger) -> dict[State, StateCounts]:
    states = {state: StateCounts() for state in State}
    for one in ledger.counts.sums():
        have = states[one.state]
        if one.held is None:
            states[one.state] = replace(have, free=have.free + one.contacts)
        else:
            states[one.state] = replace(have, held=have.held + one.contacts)
    # Only a contact that is mapped and free can be sent; the schema sees to that.
    in_doubt, mapped = ledger.counts.in_doubt(), states[State.MAPPED]
    states[State.MAPPED] = replace(mapped, free=mapped.free - in_doubt, in_doubt=in_doubt)
    return states


def _waiting(ledger: Ledger) -> Iterator[HeldGroup]:
    sums = ledger.counts.sums()
    for hold in Hold:
        if by_state := {one.state: one.contacts for one in sums if one.held is hold}:
            examples = ledger.counts.held(hold, EXAMPLES)
            yield HeldGroup(hold, by_state, tuple(_clean_contact(one) for one in examples))


def _clean_binding(binding: Binding) -> Binding:
    return Binding(*(value and one_line(value) for value in vars(binding).values()))


def _clean_contact(contact: HeldContact) -> HeldContact:
    detail = one_line(contact.detail or "")
    if len(detail) > LONGEST_DETAIL:
        detail = detail[: LONGEST_DETAIL - 3] + "..."
    return replace(contact, hubspot_id=one_line(contact.hubspot_id), detail=detail or None)


def clean_run(run: Run) -> Run:
    """Without what a terminal or a page would obey."""
    return replace(run, command=one_line(run.command), host=one_line(run.host))
