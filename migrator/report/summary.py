"""
The report on the whole migration: counts by state, held contacts and why, the last commands.

`read` takes one snapshot of the ledger as a `Report`; `summary_json` and `summary_page` show it. It
needs no network and changes nothing. Control characters in what services returned are removed on
reading.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from migrator.completeness import Completeness
from migrator.counters import PushCounters
from migrator.errors import ExitCode
from migrator.findings import ProbeRecord
from migrator.ledger import (
    Binding,
    Checkpoint,
    EditedContact,
    GoneContact,
    HeldContact,
    Ledger,
    Run,
    StateCount,
    is_locked,
)
from migrator.report.since_sent import conflict_words
from migrator.states import Hold, State
from migrator.text import one_line

EXAMPLES = 3
_Example = TypeVar("_Example")
LAST_RUNS = 5
LONGEST_DETAIL = 200

_STATUSES: Mapping[int, str] = {
    ExitCode.DONE: "done",
    ExitCode.NEEDS_ATTENTION: "left_for_a_person",
    ExitCode.USAGE: "usage",
    ExitCode.NOT_READY: "not_ready",
    ExitCode.STOPPED_EARLY: "stopped_early",
    ExitCode.LEDGER: "ledger",
    ExitCode.BUSY: "busy",
    ExitCode.BUG: "bug",
    ExitCode.SIGINT: "interrupted",
    ExitCode.SIGTERM: "interrupted",
}


@dataclass(frozen=True)
class StateCounts:
    """Contacts in one state. A contact in flight or in doubt is neither free nor held."""

    free: int = 0
    in_doubt: int = 0
    held: int = 0

    @property
    def total(self) -> int:
        """All contacts in the state."""
        return self.free + self.in_doubt + self.held


@dataclass(frozen=True)
class HeldGroup:
    """Contacts held for one reason, and the first few of them."""

    held: Hold
    by_state: Mapping[State, int]
    examples: tuple[HeldContact, ...]

    @property
    def contacts(self) -> int:
        """How many contacts are held for this reason."""
        return sum(self.by_state.values())


@dataclass(frozen=True)
class Noted(Generic[_Example]):
    """A number of contacts, and the first few of them."""

    contacts: int
    examples: Sequence[_Example]


@dataclass(frozen=True)
class Speed:
    """Speed of a running push; `seconds_left=None` = no lead has arrived yet."""

    per_minute: float
    seconds_left: float | None


@dataclass(frozen=True)
class Report:
    """
    What the ledger says of the whole migration at one moment; the page and the JSON show this.

    Args:
        ledger: Path of the ledger's file.
        states: Counts for each of the four states.
        extraction: Progress of the scan through HubSpot.
        changed: Contacts that changed in HubSpot after they were posted.
        gone: Contacts that were posted and that HubSpot has no more.
        gone_by_reason: All contacts that HubSpot has no more: merged, archived, unknown.
        gone_missing: Contacts that HubSpot has no more and whose lead, posted only, is missing.
        to_update: Contacts that the next `update` may write.
        edited: Contacts whose lead was verified and has been edited at LeadGenius since.
        unclaimed: Leads in the last verification whose contacts have no lead in the ledger.
        mapping: Hash of the active mapping; `None` = none was chosen yet.
        sent_by_others: Contacts that were posted with another mapping.
        forgotten_ms: When personal data was erased from the ledger; `None` = it was not.
        is_push_unfinished: Whether only `push --resume` continues.
        runs: The last runs, newest first.
        running: The run in progress.
        now_ms: When this was read, in milliseconds since the epoch.
        probe: The newest probe of the destination; `None` = this ledger knows of none.
    """

    ledger: str
    binding: Binding
    states: Mapping[State, StateCounts]
    held: tuple[HeldGroup, ...]
    extraction: Checkpoint
    changed: Noted[str]
    gone: Noted[GoneContact]
    gone_by_reason: Mapping[str, int]
    gone_missing: int
    to_update: int
    edited: Noted[EditedContact]
    unclaimed: int
    mapping: str | None
    sent_by_others: Noted[str]
    forgotten_ms: int | None
    is_push_unfinished: bool
    runs: tuple[Run, ...]
    running: Run | None
    now_ms: int
    probe: ProbeRecord | None

    @property
    def given(self) -> int:
        """Contacts that HubSpot ever returned, each counted once."""
        return self.extraction.contacts_seen

    @property
    def is_extracted(self) -> bool:
        """Whether the last scan of HubSpot reached its last page and missed no contact."""
        return self.why_not_extracted == ""

    @property
    def why_not_extracted(self) -> str:
        """Why contacts of HubSpot may be missing; "" = the last scan is complete."""
        at = self.extraction
        if not (at.scan > 0 and at.complete):
            return "HubSpot has more pages than were read"
        return Completeness(at.met, at.odd, at.counted).why_not_whole()

    @property
    def accounted(self) -> int:
        """Contacts in the ledger, in any state."""
        return sum(standing.total for standing in self.states.values())

    @property
    def closes(self) -> bool:
        """Whether the ledger holds exactly the contacts that HubSpot returned (design, I8)."""
        return self.accounted == self.given

    @property
    def in_doubt(self) -> int:
        """Contacts of which a write is in flight or in doubt: created, updated or deleted."""
        return sum(one.in_doubt for one in self.states.values())

    @property
    def in_leadgenius(self) -> int:
        """Contacts whose leads are in LeadGenius, as far as the ledger shows."""
        got_a_lead = self.states[State.POSTED].total + self.states[State.VERIFIED].total
        return got_a_lead - self.missing

    @property
    def missing(self) -> int:
        """Contacts whose leads are not listed any more."""
        return sum(one.contacts for one in self.held if one.held is Hold.MISSING)

    @property
    def verified(self) -> int:
        """Contacts whose leads are confirmed and not held."""
        return self.states[State.VERIFIED].free

    @property
    def needing_attention(self) -> int:
        """Contacts that are held."""
        return sum(one.held for one in self.states.values())

    @property
    def is_finished(self) -> bool:
        """Whether every contact of HubSpot is verified."""
        return self.closes and self.is_extracted and self.verified == self.given > 0

    def status(self, run: Run) -> str:
        """How a run ended, as one of the words listed in `summary_json`."""
        if run.exit_code is not None:
            return _STATUSES.get(run.exit_code, "bug")
        is_running = self.running is not None and self.running.id == run.id
        return "running" if is_running else "killed"

    def seconds(self, run: Run) -> float | None:
        """Duration of a run, so far if it is running; `None` = unknown, because it was killed."""
        end_ms = self.now_ms if self.status(run) == "running" else run.ended_ms
        return None if end_ms is None else (end_ms - run.began_ms) / 1000

    @property
    def speed(self) -> Speed | None:
        """Speed of the running push; `None` = no push is running."""
        if self.running is None or self.running.command != "push":
            return None
        minutes = max(self.now_ms - self.running.began_ms, 1) / 60_000
        posted, _ = PushCounters.read(self.running.counters).reach(None)
        per_minute = posted / minutes
        mapped = self.states[State.MAPPED]
        left = mapped.free + mapped.in_doubt
        return Speed(per_minute, 60 * left / per_minute if per_minute else None)


def read(ledger: Ledger, now: Callable[[], float] = time.time) -> Report:
    """Read the report in one transaction, so that a running command cannot change it halfway."""
    killed = killed_run(ledger)
    with ledger.transaction():
        return snapshot(ledger, killed, now)


def snapshot(ledger: Ledger, killed: int | None, now: Callable[[], float]) -> Report:
    """Read the report inside the caller's transaction, which may read more of the same moment."""
    figures, journey = ledger.counts, ledger.runs
    sums = figures.sums()
    runs = tuple(clean_run(run) for run in journey.newest(LAST_RUNS))
    is_at_work = bool(runs) and runs[0].ended_ms is None and runs[0].id != killed
    edited, first_edited = figures.edited(EXAMPLES)
    mapping = ledger.mappings.active()
    return Report(
        ledger=one_line(str(ledger.path)),
        binding=_clean_binding(journey.binding()),
        states=_state_counts(sums),
        held=tuple(_held_groups(ledger, sums)),
        extraction=journey.checkpoint("extraction"),
        changed=_noted(*figures.changed(EXAMPLES)),
        gone=Noted(figures.gone(0)[0], ledger.since_sent.gone_after_posting(EXAMPLES)),
        gone_by_reason=ledger.since_sent.gone_by_reason(),
        gone_missing=ledger.since_sent.gone_missing(),
        to_update=ledger.since_sent.to_update(),
        edited=Noted(
            edited,
            [EditedContact(one_line(one.hubspot_id), one_line(one.fields)) for one in first_edited],
        ),
        unclaimed=journey.unclaimed(),
        mapping=None if mapping is None else mapping.hash,
        sent_by_others=_noted(*ledger.mappings.sent_with_other(EXAMPLES)),
        forgotten_ms=ledger.erasure.erased_at(),
        is_push_unfinished=journey.is_push_unfinished(),
        runs=runs,
        running=runs[0].current if is_at_work else None,
        now_ms=int(now() * 1000),
        probe=ledger.probes.newest(journey.binding().leadgenius_url),
    )


def killed_run(ledger: Ledger) -> int | None:
    """The id of the newest run, if it has no end and its process is gone."""
    # Must precede the snapshot: a run that begins after the lock was tested is alive.
    newest = ledger.runs.newest(1)
    if newest and newest[0].ended_ms is None and not is_locked(ledger.path):
        return newest[0].id
    return None


def _noted(contacts: int, examples: Iterable[str]) -> Noted[str]:
    return Noted(contacts, list(map(one_line, examples)))


def _state_counts(sums: Iterable[StateCount]) -> dict[State, StateCounts]:
    states = {state: StateCounts() for state in State}
    for one in sums:
        have, at_rest = states[one.state], one.contacts - one.in_doubt
        states[one.state] = StateCounts(
            have.free + (at_rest if one.held is None else 0),
            have.in_doubt + one.in_doubt,
            have.held + (at_rest if one.held is not None else 0),
        )
    return states


def _held_groups(ledger: Ledger, sums: Collection[StateCount]) -> Iterator[HeldGroup]:
    for hold in Hold:
        if by_state := _at_rest(sums, hold):
            examples = with_values(ledger, ledger.counts.held(hold, EXAMPLES))
            yield HeldGroup(hold, by_state, tuple(_clean_contact(one) for one in examples))


def _at_rest(sums: Iterable[StateCount], hold: Hold) -> dict[State, int]:
    """Contacts that are held for a reason, by state; those in doubt are counted as in doubt."""
    numbers = {one.state: one.contacts - one.in_doubt for one in sums if one.held is hold}
    return {state: number for state, number in numbers.items() if number}


def with_values(ledger: Ledger, contacts: Iterable[HeldContact]) -> list[HeldContact]:
    """The contacts, with the three values of each field that is to be decided as their detail."""
    return [
        replace(one, detail=conflict_words(found.conflict, found.decided))
        if one.held in (Hold.CONFLICT, Hold.DIFFERENT)
        and (found := ledger.since_sent.conflict(one.hubspot_id)) is not None
        and found.conflict
        else one
        for one in contacts
    ]


def _clean_binding(binding: Binding) -> Binding:
    return Binding(*(value and one_line(value) for value in vars(binding).values()))


def _clean_contact(contact: HeldContact) -> HeldContact:
    detail = one_line(contact.detail or "")
    if len(detail) > LONGEST_DETAIL:
        detail = detail[: LONGEST_DETAIL - 3] + "..."
    return replace(contact, hubspot_id=one_line(contact.hubspot_id), detail=detail or None)


def clean_run(run: Run) -> Run:
    """A run without control characters."""
    return replace(run, command=one_line(run.command), host=one_line(run.host))
