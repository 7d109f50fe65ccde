"""The history of one contact as people read it in a terminal."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from migrator.ledger import ContactSummary, GoneContact, Run, SendAttempt, StateChange
from migrator.report.contact import ContactHistory, ContactReport
from migrator.report.labels import (
    COMPANY_RULES,
    HOLDS,
    MADE_UP,
    OUTCOMES,
    STATES,
    advice,
    contacts,
    local,
    quoted,
    shortened,
)
from migrator.report.layout import bare_table, key_values, print_to, titled, with_commands
from migrator.report.since_sent import changes, shown
from migrator.text import one_line, strip_control

_TO_THE_SECOND = "%Y-%m-%d %H:%M:%S"
_SHORT_HASH = 12
_GONE = "personal data was erased; what follows is the evidence"


def render(report: ContactReport, console: Console | None = None) -> None:
    """
    Print the report.

    Args:
        console: Where to; `None` = stdout.
    """
    print_to(lambda is_utf: _parts(report, is_utf), console)


def _parts(report: ContactReport, is_utf: bool) -> Iterator[RenderableType]:
    if report.found > 1:
        shown = "all of them" if report.found == len(report.told) else "the first of them"
        yield Text(f"{contacts(report.found)} found by this e-mail; {shown}:", style="yellow")
    for history in report.told:
        yield _state_rows(history, report)
        if _forgotten_ms(history, report) is None:
            yield titled("From HubSpot", _source_rows(history))
        if history.lead:
            yield titled("As a lead", _lead_rows(history, history.lead))
        if history.attempts:
            yield titled("Sends", _attempts_table(history, report.running, is_utf))
        yield titled("History", _events_table(history, is_utf))


def _state_rows(history: ContactHistory, report: ContactReport) -> RenderableType:
    contact, forgotten_ms = history.contact, _forgotten_ms(history, report)
    rows: list[tuple[str, str | Text]] = [
        ("contact", Text(quoted(contact.hubspot_id), style="bold", overflow="fold")),
        ("state", f"{contact.state}: {STATES[contact.state]}"),
    ]
    if contact.lead_id is not None:
        rows.append(("lead", f"{quoted(contact.lead_id)} at LeadGenius"))
    if history.is_open:
        rows.append(("in doubt", _doubt(history.attempts[-1], report.running)))
    if contact.held is not None:
        rows += _hold_rows(contact, is_erased=forgotten_ms is not None)
    if history.changed_ms is not None:
        rows.append(
            (
                "changed",
                Text.assemble("HubSpot differs, last seen to change ", local(history.changed_ms)),
            )
        )
        rows.append(("", with_commands("`migrator update` brings LeadGenius up to date")))
    if history.gone is not None:
        rows += _gone_rows(history.gone)
    if history.predecessors:
        named = ", ".join(quoted(one) for one in history.predecessors)
        rows.append(("succeeds", f"{named}: it has the lead of that contact"))
    if history.edited is not None:
        rows.append(("edited", f"in LeadGenius since it was verified: {quoted(history.edited)}"))
    rows += _namesake_rows(history)
    if forgotten_ms is not None:
        rows.append(("forgotten", Text.assemble(local(forgotten_ms), f": {_GONE}")))
    return key_values(rows)


def _forgotten_ms(history: ContactHistory, report: ContactReport) -> int | None:
    """When its personal data was erased, with the whole ledger or alone; `None` = it was not."""
    alone_ms = history.contact.forgotten_ms
    return alone_ms if report.forgotten_ms is None else report.forgotten_ms


def _gone_rows(gone: GoneContact) -> list[tuple[str, str | Text]]:
    why = {"merged": f"merged into contact {gone.into}", "archived": "archived in HubSpot"}
    rows: list[tuple[str, str | Text]] = [
        ("gone", quoted(why.get(gone.why, "HubSpot does not have it any more")))
    ]
    if gone.successor is not None:
        rows.append(("", f"contact {quoted(gone.successor)} has its lead now"))
    return rows


def _hold_rows(contact: ContactSummary, *, is_erased: bool) -> Iterator[tuple[str, str | Text]]:
    if contact.held is None:
        return
    meaning, _ = HOLDS[contact.held]
    yield "held", Text.assemble((str(contact.held), "yellow"), f"  {meaning}", overflow="fold")
    if contact.detail:
        yield "", quoted(contact.detail)
    # Nothing can be done about an erased contact.
    for one in () if is_erased else advice(contact.held, [contact.state]):
        yield "", with_commands(f"→ {one}")


def _doubt(attempt: SendAttempt, running: Run | None) -> str:
    if running is not None and running.id == attempt.run_id:
        return with_commands(
            f"a push is running (process {running.pid}): it awaits the answer or settles the doubt"
        )
    return with_commands(
        "no answer says yet whether LeadGenius did what it was sent. "
        "`migrator push --resume` checks before it sends anything again."
    )


def _namesake_rows(history: ContactHistory) -> Iterator[tuple[str, str | Text]]:
    title = "same e-mail"
    for one in history.first_namesakes:
        held = f", held: {one.held}" if one.held else ""
        lead = f", lead {quoted(one.lead_id)}" if one.lead_id else ""
        yield title, f"contact {quoted(one.hubspot_id)} ({one.state}{held}{lead})"
        title = ""
    if (more := history.namesakes - len(history.first_namesakes)) > 0:
        yield "", f"and {more:,} more contacts"
    if history.foreign_lead is not None:
        yield title, f"lead {quoted(history.foreign_lead)} at LeadGenius, not sent by this ledger"


def _source_rows(history: ContactHistory) -> RenderableType:
    rows: list[tuple[str, str | Text]] = [
        (one_line(str(name)), _value(value)) for name, value in history.source.items()
    ]
    rows.append(("company", _company(history)))
    rows += [
        (f"  {one_line(name)}", _value(value)) for name, value in (history.company or {}).items()
    ]
    if history.amended:
        amended = (
            history.amended if isinstance(history.amended, dict) else {"amended": history.amended}
        )
        rows += [
            (f"amended {one_line(str(name))}", Text(_value(value), style="yellow"))
            for name, value in amended.items()
        ]
    return key_values(rows)


def _company(history: ContactHistory) -> str:
    if history.company_id is None:
        return "none"
    why = COMPANY_RULES.get(history.company_rule or "", "")
    lacking = "" if history.company is not None else "; HubSpot does not return it"
    return f"{quoted(history.company_id)} ({why}{lacking})"


def _lead_rows(history: ContactHistory, lead: Mapping[str, str]) -> RenderableType:
    made_up = dict(MADE_UP[kind] for kind in history.made_up if kind in MADE_UP)
    rows: list[tuple[str, str | Text]] = []
    for field, value in lead.items():
        text = Text(strip_control(_value(value, keep_lines=True)), overflow="fold")
        if field in made_up:
            text.append(f"  ({made_up[field]})", style="yellow")
        rows.append((one_line(field), text))
        rows += _other_values(history, field)
    new = (history.versions and history.versions.new_lead) or {}
    conflicted = (history.conflict and history.conflict.conflict) or {}
    for field in dict.fromkeys((*new, *conflicted)):
        if field not in lead:
            rows += [(one_line(field), "not sent"), *_other_values(history, field)]
    if others := [kind for kind in history.made_up if kind not in MADE_UP]:
        rows.append(("derived", one_line(", ".join(others))))
    if history.mapping is not None:
        rows.append(("mapping", history.mapping[:_SHORT_HASH]))
    return key_values(rows)


def _other_values(history: ContactHistory, field: str) -> Iterator[tuple[str, str | Text]]:
    """What HubSpot gives now and what LeadGenius lists, where that is not what was sent."""
    found = (history.conflict and history.conflict.conflict) or {}
    change = (changes(history.versions) or {}) if history.versions is not None else {}
    if field in found:
        yield "", Text(f"in LeadGenius: {shown(found[field]['there'])}", style="yellow")
    if field in change or field in found:
        now = change[field]["now"] if field in change else found[field]["new"]
        yield "", Text(f"now in HubSpot: {shown(now)}", style="yellow")
    decided = (history.conflict and history.conflict.decided) or {}
    if field in decided:
        yield "", Text(f"decided: {shown(decided[field]['value'])}", style="yellow")


def _value(value: Any, *, keep_lines: bool = False) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return shortened(strip_control(text) if keep_lines else one_line(text))


def _attempts_table(history: ContactHistory, running: Run | None, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    for title in ("no.", "what", "when", "run", "HTTP"):
        table.add_column(title, no_wrap=True)
    table.add_column("how it ended", ratio=1, overflow="fold")
    for one in history.attempts:
        status = "" if one.status is None else str(one.status)
        when = Text(local(one.sent_ms, _TO_THE_SECOND))
        table.add_row(
            str(one.number), str(one.kind), when, str(one.run_id), status, _ended(one, running)
        )
    return table


def _ended(attempt: SendAttempt, running: Run | None) -> RenderableType:
    if attempt.outcome is None:
        is_running = running is not None and running.id == attempt.run_id
        words = Text("in flight or in doubt" if is_running else "in doubt", style="yellow")
    else:
        words = Text(OUTCOMES[attempt.outcome])
    if attempt.lead_id is not None:
        words.append(f": {quoted(attempt.lead_id)}")
    if attempt.fields:
        words.append(one_line(f" ({', '.join(attempt.fields)})"))
    if attempt.overrode:
        words.append(one_line(f"; decided by a person: {', '.join(attempt.overrode)}"))
    if attempt.answer is None:
        return words
    return Group(words, Text(quoted(attempt.answer), style="dim", overflow="fold"))


def _events_table(history: ContactHistory, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    table.add_column("when", no_wrap=True)
    table.add_column("what", ratio=1, overflow="fold")
    for event in history.events:
        table.add_row(Text(local(event.at_ms, _TO_THE_SECOND)), Text(_moved(event)))
    return table


def _moved(event: StateChange) -> str:
    held = "" if event.held is None else f", held: {event.held}"
    if event.source is None:
        return f"read from HubSpot: {event.target}{held}"
    if event.source is event.target:
        return f"{event.target}{held or ', free'}"
    return f"{event.source} → {event.target}{held}"
