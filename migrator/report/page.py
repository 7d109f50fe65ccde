"""
The report for people, laid out for any width, with colours or without.

It owns what the report looks like, and nothing of how a page is put on an output (see `paper`).
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from migrator.ledger import Run
from migrator.report.facts import HeldGroup, Report
from migrator.report.labels import (
    HOLDS,
    STATES,
    advice,
    contacts,
    duration,
    ending,
    no_wrap,
    numbers,
    shortened,
)
from migrator.report.layout import bare_table, local, next_line, print_to, titled, with_commands
from migrator.report.machine import status
from migrator.report.next_step import next_step
from migrator.text import count_noun


def render(report: Report, console: Console | None = None) -> None:
    """
    Show it.

    Args:
        console: Where; `None` = on stdout.

    Raises:
        BrokenPipeError: whoever read the output has left.
    """
    print_to(lambda is_utf: _parts(report, is_utf), console)


def _parts(report: Report, is_utf: bool) -> Iterator[RenderableType]:
    yield _journey(report)
    yield Group(_states(report, is_utf), _sum(report))
    if report.speed is not None:
        yield _speed(report)
    if report.in_doubt:
        yield _doubts(report)
    if report.held:
        yield titled("Waiting for a person", _holds(report, is_utf))
    if report.changed:
        yield _noted(
            f"{report.changed:,} changed in HubSpot after being posted",
            report.changed,
            report.changed_examples,
            "They are not sent again; bring LeadGenius up to date by hand.",
        )
    if report.edited:
        yield _noted(
            f"{report.edited:,} edited at LeadGenius after being verified",
            report.edited,
            [f"{one.hubspot_id} ({one.fields})" for one in report.edited_examples],
            "They stay as they are there.",
        )
    if report.unclaimed:
        yield Text.assemble(
            (count_noun(report.unclaimed, "lead"), "yellow"),
            with_commands(
                " at LeadGenius of contacts that have none in this ledger: "
                "`migrator push` takes them over, and sends nothing for those contacts."
            ),
        )
    if report.sent_by_others:
        yield _noted(
            f"{report.sent_by_others:,} posted under another mapping than the one in force",
            report.sent_by_others,
            report.sent_by_others_examples,
            "They stay as they were sent; `migrator mapping` prints the one in force.",
        )
    if report.runs:
        yield titled("Last commands", _runs(report, is_utf))
    yield _next(report)


def _journey(report: Report) -> RenderableType:
    binding = report.binding
    grid = Table.grid(padding=(0, 2))
    grid.add_row("ledger", Text(report.ledger, overflow="fold"))
    if binding.portal_id is not None:
        grid.add_row("from", Text(f"HubSpot, portal {binding.portal_id}", overflow="fold"))
    if binding.client_id is not None:
        where = f"{binding.leadgenius_url}, client {binding.client_id}"
        grid.add_row("to", Text(where, overflow="fold"))
    if report.forgotten_ms is not None:
        when = f"{local(report.forgotten_ms)}: the people are gone, the proof stands"
        grid.add_row("forgotten", Text(when, overflow="fold"))
    return grid


# Where they stand


def _states(report: Report, is_utf: bool) -> RenderableType:
    standings = report.states.values()
    table = bare_table(is_utf, has_footer=True)
    table.add_column("state", "in all", no_wrap=True)
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


def _sum(report: Report) -> RenderableType:
    if report.closes and report.given and not report.is_extracted:
        text = f"= {report.given:,} contacts that HubSpot gave, not all of them: "
        return Text(f"{text}{report.why_not_extracted}", style="bold yellow")
    if report.closes:
        return Text(f"= {report.given:,} contacts that HubSpot gave", style="bold green")
    return Text(
        f"SUMS DO NOT CLOSE: HubSpot gave {report.given:,} contacts, "
        f"the ledger accounts for {report.accounted:,}",
        style="bold red",
    )


def _speed(report: Report) -> RenderableType:
    speed, run = report.speed, report.running
    if speed is None or run is None:
        return Text()
    ago = duration((report.now_ms - run.began_ms) / 1000)
    left = "" if speed.seconds_left is None else f", {duration(speed.seconds_left)} left"
    return Text.assemble(
        f"A push is at work (process {run.pid}, for {ago}): ",
        (no_wrap(f"{speed.per_minute:,.0f} a minute{left}"), "bold"),
    )


def _doubts(report: Report) -> RenderableType:
    if report.running is not None and report.running.command == "push":
        rest = "in flight or in doubt; the push at work settles them."
    else:
        rest = (
            "in doubt: sent, and no answer says whether LeadGenius has the lead. "
            "`migrator push --resume` looks there before it sends anything again."
        )
    return Text.assemble((f"{contacts(report.in_doubt)} ", "yellow"), with_commands(rest))


# Who waits


def _holds(report: Report, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    table.add_column("contacts", justify="right", no_wrap=True)
    table.add_column("reason, what to do, and the first of them", ratio=1, overflow="fold")
    for waiting in report.held:
        if table.row_count:
            table.add_row()
        table.add_row(Text(f"{waiting.contacts:,}", style="yellow"), _explained(waiting))
    return table


def _explained(waiting: HeldGroup) -> RenderableType:
    meaning, _ = HOLDS[waiting.held]
    grid = Table.grid(padding=(0, 1))
    for one in advice(waiting.held, waiting.by_state):
        grid.add_row("→", Text(with_commands(one), overflow="fold"))
    for one in _examples(waiting):
        grid.add_row("", Text(one, style="dim", overflow="fold"))
    return Group(Text.assemble((str(waiting.held), "bold"), f"  {meaning}"), grid)


def _examples(waiting: HeldGroup) -> Iterator[str]:
    """The first contacts, those with the same detail together."""
    for detail, alike in groupby(waiting.examples, key=lambda one: one.detail):
        named = ", ".join(shortened(one.hubspot_id) for one in alike)
        yield f"{named}: {shortened(detail)}" if detail else named
    if (more := waiting.contacts - len(waiting.examples)) > 0:
        yield f"and {more:,} more"


def _noted(what: str, contacts: int, examples: Sequence[str], rest: str) -> RenderableType:
    """Posted contacts that a person should know of, and the first of them."""
    named = ", ".join(map(shortened, examples))
    more = contacts - len(examples)
    return Text.assemble(
        (what, "yellow"),
        f": {named}{f' and {more:,} more' if more > 0 else ''}. {with_commands(rest)}",
    )


# What was done, and what comes next


def _runs(report: Report, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    for title in ("when", "command", "took"):
        table.add_column(title, no_wrap=True)
    table.add_column("how it ended, and what it did", ratio=1, overflow="fold")
    for run in report.runs:
        table.add_row(
            local(run.began_ms), Text(run.command), _took(run, report), _ended(run, report)
        )
    return table


def _took(run: Run, report: Report) -> Text:
    if run.ended_ms is not None:
        return Text(duration((run.ended_ms - run.began_ms) / 1000))
    is_running = status(run, report) == "running"
    return Text(duration((report.now_ms - run.began_ms) / 1000) if is_running else "?")


def _ended(run: Run, report: Report) -> Text:
    ended_as = status(run, report)
    style = {"done": "green", "running": "cyan"}.get(ended_as, "yellow")
    did = numbers(run)
    return Text.assemble((ending(run, ended_as), style), f": {did}" if did else "")


def _next(report: Report) -> RenderableType:
    return next_line(*next_step(report))
