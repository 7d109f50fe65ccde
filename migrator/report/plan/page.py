"""A plan for people: what a push would send, what it would not and why, and what it takes."""

from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from migrator.ledger import DuplicatePair
from migrator.report.labels import (
    COMPANY_RULES,
    HOLDS,
    MADE_UP,
    contacts,
    duration,
    shortened,
)
from migrator.report.layout import (
    bare_table,
    key_values,
    next_line,
    print_to,
    titled,
    with_commands,
)
from migrator.report.next_step import next_step
from migrator.report.plan.facts import Plan
from migrator.report.plan.machine import why_it_wins
from migrator.states import State
from migrator.text import count_noun, one_line


def render(plan: Plan, console: Console | None = None) -> None:
    """
    Show it, but for the samples.

    Args:
        console: Where; `None` = on stdout.

    Raises:
        BrokenPipeError: whoever read the output has left.
    """
    print_to(lambda is_utf: _parts(plan, is_utf), console)


def _parts(plan: Plan, is_utf: bool) -> Iterator[RenderableType]:
    yield _journey(plan)
    yield from _warnings(plan)
    yield _headline(plan)
    if assumptions := list(_assumptions(plan)):
        yield titled("Of these", _counted(assumptions))
    if plan.held:
        yield titled("Held, and not sent", _held(plan, is_utf))
    if plan.duplicates:
        yield titled("Duplicates", _duplicates(plan))
    yield titled("At LeadGenius", _destination(plan))
    yield titled("It takes", _requests(plan))
    yield next_line(*next_step(plan.report))


def _journey(plan: Plan) -> RenderableType:
    where = "no client chosen: `migrator clients` lists them"
    if plan.client_id is not None:
        where = f"client {_line(plan.client_id)}"
    where = f"{_line(plan.leadgenius_url)}, {where}"
    return key_values([("ledger", plan.report.ledger), ("to", with_commands(where))])


def _warnings(plan: Plan) -> Iterator[RenderableType]:
    report = plan.report
    if report.running is not None:
        words = f"`{report.running.command}` is at work: the numbers are of this moment."
        yield Text(words, style="yellow")
    if not report.is_extracted:
        words = f"{report.why_not_extracted}: `migrator stage` first."
        yield Text(with_commands(words), style="yellow")
    if unmapped := report.states[State.EXTRACTED].free:
        words = f"{contacts(unmapped)} not mapped yet: `migrator stage` first."
        yield Text(with_commands(words), style="yellow")
    if plan.outdated:
        words = f"{contacts(plan.outdated)} mapped by other rules than those in force: "
        yield Text(with_commands(f"{words}`migrator stage` first."), style="yellow")


def _headline(plan: Plan) -> RenderableType:
    sends = plan.requests.leads
    text = Text(f"A push would send {sends:,} leads.", style="bold")
    if plan.report.in_doubt:
        words = f" Before that it settles {plan.report.in_doubt:,} in doubt."
        text.append(words, style="yellow")
    if plan.look is not None and plan.look.kept_back:
        text.append(f" {plan.sendable:,} are free to be sent; some of them are there already.")
    return text


# How the leads came about


def _assumptions(plan: Plan) -> Iterator[tuple[int, str]]:
    for kind, number in plan.made_up.items():
        field, words = MADE_UP.get(kind, ("", one_line(kind)))
        yield number, f"{field}: {words}" if field else words
    if number := plan.without_company_name:
        yield number, "companyName: none at all"
    for rule, number in plan.company_rules.items():
        if rule not in ("primary", "none"):
            yield number, f"company: {COMPANY_RULES.get(rule, rule)}"


def _counted(rows: Sequence[tuple[int, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for number, words in rows:
        grid.add_row(Text(f"{number:,}"), Text(words, overflow="fold"))
    return grid


# What is not sent


def _held(plan: Plan, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    table.add_column("contacts", justify="right", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    table.add_column("", ratio=1, overflow="fold")
    for hold, number in plan.held.items():
        table.add_row(f"{number:,}", Text(str(hold)), Text(HOLDS[hold][0], style="dim"))
    return table


def _duplicates(plan: Plan) -> RenderableType:
    rows = [Text(_rivalry(one), overflow="fold") for one in plan.duplicates]
    if (more := plan.duplicate_contacts - len(rows)) > 0:
        rows.append(Text(f"and {more:,} more"))
    grid = Table.grid()
    for row in rows:
        grid.add_row(row)
    return grid


def _rivalry(rivalry: DuplicatePair) -> str:
    why = why_it_wins(rivalry)
    if rivalry.winner is None:
        return with_commands(f"{_line(rivalry.hubspot_id)}: {why}")
    return f"{_line(rivalry.hubspot_id)} gives way to {_line(rivalry.winner)}: {why}"


# The destination, and what it takes


def _destination(plan: Plan) -> RenderableType:
    look = plan.look
    if look is None:
        words = f"not looked at: {one_line(plan.not_looked or '')}"
        return Text(with_commands(words), style="yellow")
    rows = [(look.leads, f"leads looked through, in {count_noun(look.pages, 'request')}")]
    for number, words in (
        (look.ours, "with our line: taken over, and not sent again"),
        (look.beaten, "with the e-mail of one of those: held as duplicates"),
        (look.foreign, "whose e-mail another lead has: held (already_in_destination)"),
    ):
        if number:
            rows.append((number, words))
    return _counted(rows)


def _requests(plan: Plan) -> RenderableType:
    requests = plan.requests
    rows = [
        (requests.look, "to look through the client before the first lead"),
        (requests.settle, "to look for what is in doubt"),
        (requests.leads, "to send the leads, one each"),
        (requests.canary, "to read the first ones back"),
        (requests.checks, "to see whether the client is still there"),
    ]
    grid = _counted([row for row in rows if row[0]])
    pace = f"{duration(requests.seconds)} at {requests.per_minute:,.4g} a minute"
    if plan.is_pace_found:
        pace += ", as found before"
    total = f"requests in all: {pace}; access tokens used: {requests.logins:,}"
    grid.add_row(Text(f"{requests.push:,}", style="bold"), Text(total))
    words = f"more for `migrator verify`{'' if plan.look else ', at the least'}"
    grid.add_row(
        Text(f"{requests.verification:,}", style="dim"), Text(with_commands(words), style="dim")
    )
    return grid


def _line(text: str) -> str:
    return shortened(one_line(text))
