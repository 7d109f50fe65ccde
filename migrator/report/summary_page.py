"""The report on the whole migration as people read it in a terminal."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from migrator.ledger import Run
from migrator.report.labels import (
    HOLDS,
    STATES,
    advice,
    contacts,
    ending,
    local,
    no_wrap,
    numbers,
    shortened,
)
from migrator.report.layout import bare_table, next_line, print_to, titled, with_commands
from migrator.report.next_step import next_step
from migrator.report.since_sent import gone_words
from migrator.report.summary import HeldGroup, Noted, Report, Speed
from migrator.text import count_noun, duration, one_line

_UPDATE = "`migrator update` brings LeadGenius up to date."
_UNDO_GONE = "Their leads stay; `migrator undo --gone` deletes them."


def render(
    report: Report, console: Console | None = None, following: tuple[str, str] | None = None
) -> None:
    """
    Print the report.

    Args:
        console: Where to; `None` = stdout.
        following: The next command and why, as `next_step` has it; `None` = by the report.
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
            "in doubt: no answer says yet whether LeadGenius did what it was sent. "
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
