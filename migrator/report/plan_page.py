"""The plan in the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from migrator.lead_profile import LeadProfile, profile_lines
from migrator.ledger import DuplicatePair
from migrator.report.labels import COMPANY_RULES, HOLDS, MADE_UP, contacts, quoted
from migrator.report.layout import (
    bare_table,
    key_values,
    next_line,
    print_to,
    titled,
    with_commands,
)
from migrator.report.next_step import next_step
from migrator.report.plan import Plan, why_it_wins
from migrator.states import State
from migrator.text import count_noun, duration, one_line


def render(
    plan: Plan, console: Console | None = None, following: tuple[str, str] | None = None
) -> None:
    """
    Print the plan without its samples.

    Args:
        console: Where to; `None` = stdout.
        following: The next command and why, as `next_step` has it; `None` = by the report.
    """
    shown = next_step(plan.report) if following is None else following
    print_to(lambda is_utf: _parts(plan, shown, is_utf), console)


def _parts(plan: Plan, following: tuple[str, str], is_utf: bool) -> Iterator[RenderableType]:
    yield _header(plan)
    yield from _warnings(plan)
    yield _headline(plan)
    if assumptions := list(_assumptions(plan)):
        yield titled("Of these", _counted(assumptions))
    if plan.profile.contacts:
        yield titled("Fields of these leads", _field_table(plan.profile, is_utf))
        yield titled("Worth a look", key_values(profile_lines(plan.profile)))
    if plan.held:
        yield titled("Held, not sent", _held_table(plan, is_utf))
    if plan.duplicates:
        yield titled("Duplicates", _duplicate_rows(plan))
    yield titled("In LeadGenius", _destination_rows(plan))
    if plan.probe is not None:
        yield titled("By the probe", Text(plan.probe.words))
    if rows := list(_update_rows(plan)):
        yield titled("An update", _counted(rows))
    yield titled("It takes", _request_rows(plan))
    yield next_line(*following)


def _header(plan: Plan) -> RenderableType:
    where = "no client chosen: `migrator clients` lists them"
    if plan.client_id is not None:
        where = f"client {quoted(plan.client_id)}"
    where = f"{quoted(plan.leadgenius_url)}, {where}"
    return key_values([("ledger", plan.report.ledger), ("to", with_commands(where))])


def _warnings(plan: Plan) -> Iterator[RenderableType]:
    report = plan.report
    if report.running is not None:
        words = f"`{report.running.command}` is running: the numbers are of this moment."
        yield Text(words, style="yellow")
    if not report.is_extracted:
        words = f"{report.why_not_extracted}: `migrator stage` first."
        yield Text(with_commands(words), style="yellow")
    if unmapped := report.states[State.EXTRACTED].free:
        words = f"{contacts(unmapped)} not mapped yet: `migrator stage` first."
        yield Text(with_commands(words), style="yellow")
    if plan.outdated:
        words = f"{contacts(plan.outdated)} mapped by another mapping than the active one: "
        yield Text(with_commands(f"{words}`migrator stage` first."), style="yellow")


def _headline(plan: Plan) -> RenderableType:
    sends = plan.requests.leads
    text = Text(f"A push would send {sends:,} leads.", style="bold")
    if plan.report.in_doubt:
        words = f" Before that it settles {plan.report.in_doubt:,} in doubt."
        text.append(words, style="yellow")
    if plan.look is not None and plan.look.kept_back:
        text.append(f" {plan.sendable:,} are ready to send; some of them are already there.")
    return text


def _assumptions(plan: Plan) -> Iterator[tuple[int, str]]:
    for kind, number in plan.made_up.items():
        field, words = MADE_UP.get(kind, ("", one_line(kind)))
        yield number, f"{field}: {words}" if field else words
    if number := plan.without_company_name:
        yield number, "companyName: none"
    if number := plan.notes_cut:
        yield number, "notes: longer than what LeadGenius stores, so they will be cut"
    for rule, number in plan.company_rules.items():
        if rule not in ("primary", "none"):
            yield number, f"company: {COMPANY_RULES.get(rule, rule)}"


def _update_rows(plan: Plan) -> Iterator[tuple[int, str]]:
    """What is known of the contacts that were sent, without looking at LeadGenius."""
    for number, words in (
        (plan.report.changed.contacts, "changed in HubSpot since sent: `migrator update` compares"),
        (plan.conflicts, "in conflict: decide with --prefer, or `migrator amend`"),
        (plan.report.gone.contacts, "gone from HubSpot, with a lead: `migrator undo --gone`"),
    ):
        if number:
            yield number, with_commands(words)


def _counted(rows: Sequence[tuple[int, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for number, words in rows:
        grid.add_row(Text(f"{number:,}"), Text(words, overflow="fold"))
    return grid


def _field_table(profile: LeadProfile, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    table.add_column("field", no_wrap=True)
    table.add_column("leads with it", justify="right", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("longest value", justify="right", no_wrap=True)
    table.add_column("of contact", overflow="fold")
    for name, one in profile.fields.items():
        longest = (f"{one.longest:,}", quoted(one.longest_contact)) if one.longest_contact else ()
        rate = profile.fill_rate(name)
        table.add_row(*map(Text, (one_line(name), f"{one.filled:,}", rate, *longest)))
    return table


def _held_table(plan: Plan, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    table.add_column("contacts", justify="right", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    table.add_column("", ratio=1, overflow="fold")
    for hold, number in plan.held.items():
        table.add_row(f"{number:,}", Text(str(hold)), Text(HOLDS[hold][0], style="dim"))
    return table


def _duplicate_rows(plan: Plan) -> RenderableType:
    rows = [Text(_pair(one), overflow="fold") for one in plan.duplicates]
    if (more := plan.duplicate_contacts - len(rows)) > 0:
        rows.append(Text(f"and {more:,} more"))
    grid = Table.grid()
    for row in rows:
        grid.add_row(row)
    return grid


def _pair(pair: DuplicatePair) -> str:
    why = why_it_wins(pair)
    if pair.winner is None:
        return with_commands(f"{quoted(pair.hubspot_id)}: {why}")
    return f"{quoted(pair.winner)} is sent instead of {quoted(pair.hubspot_id)}: {why}"


def _destination_rows(plan: Plan) -> RenderableType:
    look = plan.look
    if look is None:
        words = f"not looked at: {one_line(plan.not_looked or '')}"
        return Text(with_commands(words), style="yellow")
    rows = [(look.leads, f"leads checked, in {count_noun(look.pages, 'request')}")]
    for number, words in (
        (look.ours, "with our line: adopted, not sent again"),
        (look.beaten, "with the same e-mail as one of those: held as duplicates"),
        (look.foreign, "whose e-mail another lead has: held (already_in_destination)"),
    ):
        if number:
            rows.append((number, words))
    return _counted(rows)


def _request_rows(plan: Plan) -> RenderableType:
    requests = plan.requests
    rows = [
        (requests.look, "to check the client before the first lead"),
        (requests.settle, "to look for contacts in doubt"),
        (requests.leads, "to send the leads, one each"),
        (requests.canary, "to read the first ones back"),
        (requests.checks, "to check that the client still exists"),
    ]
    grid = _counted([row for row in rows if row[0]])
    pace = f"{duration(requests.seconds)} at {requests.per_minute:,.4g} a minute"
    if plan.is_pace_found:
        pace += ", the rate found before"
    total = f"requests in total: {pace}; access tokens used: {requests.logins:,}"
    grid.add_row(Text(f"{requests.push:,}", style="bold"), Text(total))
    words = f"more for `migrator verify`{'' if plan.look else ', at least'}"
    grid.add_row(
        Text(f"{requests.verification:,}", style="dim"), Text(with_commands(words), style="dim")
    )
    return grid
