"""
The report on the whole migration: counts by state, held contacts and why, the last commands.

`read` takes one snapshot of the ledger as a `Report`; `as_json` and `render` show it. It needs no
network and changes nothing. Control characters in what services returned are removed on reading.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Generic, TypeVar

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

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
from migrator.report.labels import (
    GONE,
    HOLDS,
    STATES,
    advice,
    contacts,
    ending,
    iso,
    local,
    no_wrap,
    numbers,
    shortened,
)
from migrator.report.layout import bare_table, next_line, print_to, titled, with_commands
from migrator.report.next_step import next_command, next_step
from migrator.report.since_sent import conflict_words, gone_words
from migrator.states import Hold, State
from migrator.text import count_noun, duration, one_line

EXAMPLES = 3
_Example = TypeVar("_Example")
LAST_RUNS = 5
LONGEST_DETAIL = 200
_UPDATE = "`migrator update` brings LeadGenius up to date."
_UNDO_GONE = "Their leads stay; `migrator undo --gone` deletes them."

_STATUSES: Mapping[int, str] = {
    ExitCode.DONE: "done",
    ExitCode.NEEDS_ATTENTION: "left_for_a_person",
    ExitCode.USAGE: "usage",
    ExitCode.NOT_READY: "not_ready",
    ExitCode.STOPPED_EARLY: "stopped_early",
    ExitCode.LEDGER: "ledger",
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
        """Contacts in the ledger, whatever their state."""
        return sum(standing.total for standing in self.states.values())

    @property
    def closes(self) -> bool:
        """Whether the ledger holds exactly the contacts that HubSpot returned (design, I8)."""
        return self.accounted == self.given

    @property
    def in_doubt(self) -> int:
        """Contacts that were sent, and it is not known yet whether their leads arrived."""
        return self.states[State.MAPPED].in_doubt

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
        """How a run ended, as one of the words listed in `as_json`."""
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
        left = self.states[State.MAPPED].free + self.in_doubt
        return Speed(per_minute, 60 * left / per_minute if per_minute else None)


# Reading


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
        states=_state_counts(sums, figures.in_doubt()),
        held=tuple(_held_groups(ledger, sums)),
        extraction=journey.checkpoint("extraction"),
        changed=_noted(*figures.changed(EXAMPLES)),
        gone=Noted(figures.gone(0)[0], ledger.since_sent.gone_after_posting(EXAMPLES)),
        gone_by_reason=ledger.since_sent.gone_by_reason(),
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


def _state_counts(sums: Iterable[StateCount], in_doubt: int) -> dict[State, StateCounts]:
    states = {state: StateCounts() for state in State}
    for one in sums:
        have = states[one.state]
        if one.held is None:
            states[one.state] = replace(have, free=have.free + one.contacts)
        else:
            states[one.state] = replace(have, held=have.held + one.contacts)
    # Only a contact that is mapped and free can be sent; the schema enforces that.
    mapped = states[State.MAPPED]
    states[State.MAPPED] = replace(mapped, free=mapped.free - in_doubt, in_doubt=in_doubt)
    return states


def _held_groups(ledger: Ledger, sums: Collection[StateCount]) -> Iterator[HeldGroup]:
    for hold in Hold:
        if by_state := {one.state: one.contacts for one in sums if one.held is hold}:
            examples = with_values(ledger, ledger.counts.held(hold, EXAMPLES))
            yield HeldGroup(hold, by_state, tuple(_clean_contact(one) for one in examples))


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


# As JSON


def as_json(report: Report) -> dict[str, Any]:
    """
    The report as JSON values, under names that do not change. Times are ISO 8601, UTC.

        ledger                 the file's path
        at                     when this was read
        forgotten              when personal data was erased from the ledger; null = it was not
        journey                {portal_id, leadgenius_url, client_id}; null = not known yet
        states                 {extracted, mapped, posted, verified}: {free, in_doubt, held, total}
        held                   {reason: {contacts, examples: [{contact, state, detail}]}}; only
                               reasons that hold a contact
        sums                   {given, accounted, closes}: by HubSpot; in the ledger; whether equal
        in_doubt               contacts in flight or in doubt
        changed_after_posting  {contacts, examples: [contact]}
        gone_after_posting     {contacts, examples: [contact]}: HubSpot has them no more
        gone                   {merged, archived, unknown: contacts}: all that HubSpot has no more
        edited_after_verifying {contacts, examples: [{contact, fields}]}: at LeadGenius
        unclaimed_leads        leads in the last `verify` whose contacts have none in the ledger
        mapping                hash of the active mapping; null = none was chosen yet
        posted_by_other_mapping
                               {contacts, examples: [contact]}: posted with another mapping
        extraction             {complete, pages, met, counted}: of the last scan of HubSpot;
                               complete: it reached the last page, and nothing is known to be
                               missing; counted: by HubSpot itself, null = not known
        runs                   the last five, newest first: {command, pid, host, began, ended,
                               exit_code, status, counters}; status: running, killed, done,
                               left_for_a_person, usage, not_ready, stopped_early, ledger, bug,
                               interrupted
        probe                  {at, differs: [sentence]}: the newest probe of LeadGenius, and what
                               differs from the guide; null = this ledger knows of none
        pace                   {per_minute, seconds_left} of the running push; null = none is
        since_sent             only in `report --json`: all of them, see `since_sent.as_json`
        next                   the next command to type; null = none
    """
    return {
        "ledger": report.ledger,
        "at": iso(report.now_ms),
        "forgotten": iso(report.forgotten_ms),
        "journey": dict(vars(report.binding)),
        **_contacts_json(report),
        **_leads_json(report),
        "extraction": {
            "complete": report.is_extracted,
            **{name: getattr(report.extraction, name) for name in ("pages", "met", "counted")},
        },
        "runs": [_run_json(run, report.status(run)) for run in report.runs],
        "probe": probe_json(report.probe),
        "pace": None if report.speed is None else dict(vars(report.speed)),
        "next": next_command(report) or None,
    }


def probe_json(probe: ProbeRecord | None) -> dict[str, Any] | None:
    """A probe as JSON; see `as_json`."""
    if probe is None:
        return None
    return {"at": iso(probe.probed_ms), "differs": probe.findings.differs_from_guide()}


def _contacts_json(report: Report) -> dict[str, Any]:
    return {
        "states": {
            str(state): {**vars(counts), "total": counts.total}
            for state, counts in report.states.items()
        },
        "held": {
            str(group.held): {
                "contacts": group.contacts,
                "examples": [
                    {"contact": one.hubspot_id, "state": str(one.state), "detail": one.detail}
                    for one in group.examples
                ],
            }
            for group in report.held
        },
        "sums": {name: getattr(report, name) for name in ("given", "accounted", "closes")},
        "in_doubt": report.in_doubt,
    }


def _leads_json(report: Report) -> dict[str, Any]:
    """What is to be known of the leads that were sent."""
    edited = [
        {"contact": one.hubspot_id, "fields": one.fields.split(", ")}
        for one in report.edited.examples
    ]
    return {
        "changed_after_posting": vars(report.changed),
        "gone_after_posting": {
            "contacts": report.gone.contacts,
            "examples": [one_line(one.hubspot_id) for one in report.gone.examples],
        },
        "gone": {why: report.gone_by_reason.get(why, 0) for why in GONE},
        "edited_after_verifying": {"contacts": report.edited.contacts, "examples": edited},
        "unclaimed_leads": report.unclaimed,
        "mapping": report.mapping,
        "posted_by_other_mapping": vars(report.sent_by_others),
    }


def _run_json(run: Run, ended_as: str) -> dict[str, Any]:
    return {
        "command": run.command,
        "pid": run.pid,
        "host": run.host,
        "began": iso(run.began_ms),
        "ended": iso(run.ended_ms),
        "exit_code": run.exit_code,
        "status": ended_as,
        "counters": dict(run.steps or run.counters),
    }


# As a page


def render(
    report: Report, console: Console | None = None, following: tuple[str, str] | None = None
) -> None:
    """
    Print the report.

    Args:
        console: Where to; `None` = stdout.
        following: The next command and why, as `next_step` has it; `None` = by the report.

    Raises:
        BrokenPipeError: the reader of the output is gone.
    """
    shown = next_step(report) if following is None else following
    print_to(lambda is_utf: _parts(report, shown, is_utf), console)


def _parts(report: Report, following: tuple[str, str], is_utf: bool) -> Iterator[RenderableType]:
    yield _header(report)
    yield Group(_states_table(report, is_utf), _total_line(report))
    if report.speed is not None and report.running is not None:
        yield _speed(report, report.speed, report.running)
    if report.in_doubt:
        yield _doubts(report)
    if report.held:
        yield titled("Needs attention", _holds_table(report, is_utf))
    yield from _notes(report)
    if report.runs:
        yield titled("Last commands", _runs_table(report, is_utf))
    yield next_line(*following)


def _notes(report: Report) -> Iterator[RenderableType]:
    """What is to be known of the leads that were sent."""
    edited = [f"{one.hubspot_id} ({one.fields})" for one in report.edited.examples]
    gone = [f"{one_line(one.hubspot_id)} ({gone_words(one)})" for one in report.gone.examples]
    by_others = "They stay as they were sent; `migrator mapping` prints the active one."
    for noted, what, rest in (
        (report.changed, "changed in HubSpot after being posted", _UPDATE),
        (Noted(report.gone.contacts, gone), "gone from HubSpot after being posted", _UNDO_GONE),
        (
            Noted(report.edited.contacts, edited),
            "edited in LeadGenius after being verified",
            "These edits are kept.",
        ),
        (report.sent_by_others, "posted with a mapping that is not active now", by_others),
    ):
        if noted.contacts:
            named = ", ".join(map(shortened, noted.examples))
            if (more := noted.contacts - len(noted.examples)) > 0:
                named += f" and {more:,} more"
            head = (f"{noted.contacts:,} {what}", "yellow")
            yield Text.assemble(head, f": {named}. {with_commands(rest)}")
    if report.unclaimed:
        rest = (
            " in LeadGenius of contacts that have none in this ledger: "
            "`migrator push` takes them over, and sends nothing for those contacts."
        )
        yield Text.assemble((count_noun(report.unclaimed, "lead"), "yellow"), with_commands(rest))


def _header(report: Report) -> RenderableType:
    binding = report.binding
    grid = Table.grid(padding=(0, 2))
    grid.add_row("ledger", Text(report.ledger, overflow="fold"))
    if binding.portal_id is not None:
        grid.add_row("from", Text(f"HubSpot, portal {binding.portal_id}", overflow="fold"))
    if binding.client_id is not None:
        where = f"{binding.leadgenius_url}, client {binding.client_id}"
        grid.add_row("to", Text(where, overflow="fold"))
    if report.probe is not None:
        grid.add_row("probed", Text(report.probe.words, overflow="fold"))
    if report.forgotten_ms is not None:
        when = f"{local(report.forgotten_ms)}: personal data was erased; the evidence remains"
        grid.add_row("erased", Text(when, overflow="fold"))
    return grid


def _states_table(report: Report, is_utf: bool) -> RenderableType:
    standings = report.states.values()
    table = bare_table(is_utf, has_footer=True)
    table.add_column("state", "total", no_wrap=True)
    for title, parts in (
        ("free", [one.free for one in standings]),
        ("in doubt", [one.in_doubt for one in standings]),
        ("held", [one.held for one in standings]),
        ("total", [one.total for one in standings]),
    ):
        table.add_column(title, f"{sum(parts):,}", justify="right", no_wrap=True)
    table.add_column("", ratio=1, overflow="fold")
    for state, one in report.states.items():
        table.add_row(
            Text(str(state)),
            Text(f"{one.free:,}"),
            _warning(one.in_doubt),
            _warning(one.held),
            Text(f"{one.total:,}", style="bold"),
            Text(STATES[state], style="dim"),
        )
    return table


def _warning(number: int) -> Text:
    return Text(f"{number:,}", style="yellow" if number else "")


def _total_line(report: Report) -> RenderableType:
    if report.closes and report.given and not report.is_extracted:
        text = f"= {report.given:,} contacts from HubSpot, not all of them: "
        return Text(f"{text}{report.why_not_extracted}", style="bold yellow")
    if report.closes:
        return Text(f"= {report.given:,} contacts from HubSpot", style="bold green")
    return Text(
        f"SUMS DO NOT CLOSE: HubSpot returned {report.given:,} contacts, "
        f"the ledger accounts for {report.accounted:,}",
        style="bold red",
    )


def _speed(report: Report, speed: Speed, run: Run) -> RenderableType:
    left = "" if speed.seconds_left is None else f", {duration(speed.seconds_left)} left"
    return Text.assemble(
        f"A push is running (process {run.pid}, for {duration(report.seconds(run))}): ",
        (no_wrap(f"{speed.per_minute:,.0f} a minute{left}"), "bold"),
    )


def _doubts(report: Report) -> RenderableType:
    if report.running is not None and report.running.command == "push":
        rest = "in flight or in doubt; the running push settles them."
    else:
        rest = (
            "in doubt: sent, and no answer says whether LeadGenius has the lead. "
            "`migrator push --resume` checks LeadGenius before it sends anything again."
        )
    return Text.assemble((f"{contacts(report.in_doubt)} ", "yellow"), with_commands(rest))


def _holds_table(report: Report, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    table.add_column("contacts", justify="right", no_wrap=True)
    table.add_column("reason, what to do, and the first contacts", ratio=1, overflow="fold")
    for waiting in report.held:
        if table.row_count:
            table.add_row()
        # Nothing can be done about the contacts of an erased ledger.
        lines = advice(waiting.held, waiting.by_state) if report.forgotten_ms is None else ()
        explained = _explained(waiting, lines)
        table.add_row(Text(f"{waiting.contacts:,}", style="yellow"), explained)
    return table


def _explained(waiting: HeldGroup, what_to_do: Sequence[str]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    for one in what_to_do:
        grid.add_row("→", Text(with_commands(one), overflow="fold"))
    for one in _example_lines(waiting):
        grid.add_row("", Text(one, style="dim", overflow="fold"))
    return Group(Text.assemble((str(waiting.held), "bold"), f"  {HOLDS[waiting.held][0]}"), grid)


def _example_lines(waiting: HeldGroup) -> Iterator[str]:
    """The first contacts, grouped by their detail."""
    for detail, alike in groupby(waiting.examples, key=lambda one: one.detail):
        named = ", ".join(shortened(one.hubspot_id) for one in alike)
        yield f"{named}: {shortened(detail)}" if detail else named
    if (more := waiting.contacts - len(waiting.examples)) > 0:
        yield f"and {more:,} more"


def _runs_table(report: Report, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    for title in ("when", "command", "took"):
        table.add_column(title, no_wrap=True)
    table.add_column("how it ended, and what it did", ratio=1, overflow="fold")
    for run in report.runs:
        when, took = local(run.began_ms), duration(report.seconds(run))
        table.add_row(Text(when), Text(run.command), Text(took), _ended(run, report))
    return table


def _ended(run: Run, report: Report) -> Text:
    ended_as = report.status(run)
    style = {"done": "green", "running": "cyan"}.get(ended_as, "yellow")
    did = numbers(run)
    return Text.assemble((ending(run, ended_as), style), f": {did}" if did else "")
