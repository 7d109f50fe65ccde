"""Stories for people: what each looks like, from where it stands to where it comes from."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from migrator.ledger import ContactSummary, Run, SendAttempt, StateChange
from migrator.report.labels import (
    COMPANY_RULES,
    HOLDS,
    MADE_UP,
    OUTCOMES,
    STATES,
    advice,
    contacts,
    shortened,
)
from migrator.report.layout import bare_table, key_values, local, print_to, titled, with_commands
from migrator.report.story.facts import ContactHistory, ContactReport
from migrator.text import one_line, strip_control

_TO_THE_SECOND = "%Y-%m-%d %H:%M:%S"
_SHORT_HASH = 12
_GONE = "the people are gone from this ledger; what follows is the proof"


def render(stories: ContactReport, console: Console | None = None) -> None:
    """
    Show them.

    Args:
        console: Where; `None` = on stdout.

    Raises:
        BrokenPipeError: whoever read the output has left.
    """
    print_to(lambda is_utf: _parts(stories, is_utf), console)


def _parts(stories: ContactReport, is_utf: bool) -> Iterator[RenderableType]:
    if stories.found > 1:
        shown = "all of them" if stories.found == len(stories.told) else "the first of them"
        yield Text(f"{contacts(stories.found)} known by this e-mail; {shown}:", style="yellow")
    for story in stories.told:
        yield _standing(story, stories)
        if stories.forgotten_ms is None:
            yield titled("From HubSpot", _origin(story))
        if story.lead:
            yield titled("As a lead", _lead(story, story.lead))
        if story.attempts:
            yield titled("Sends", _sends(story, stories.running, is_utf))
        yield titled("History", _history(story, is_utf))


# Where it stands


def _standing(story: ContactHistory, stories: ContactReport) -> RenderableType:
    contact = story.contact
    rows: list[tuple[str, str | Text]] = [
        ("contact", Text(_line(contact.hubspot_id), style="bold", overflow="fold")),
        ("stands", f"{contact.state}: {STATES[contact.state]}"),
    ]
    if contact.lead_id is not None:
        rows.append(("lead", f"{_line(contact.lead_id)} at LeadGenius"))
    if story.is_open:
        rows.append(("in doubt", _doubt(story.attempts[-1], stories.running)))
    if contact.held is not None:
        rows += _hold(contact)
    if story.changed_ms is not None:
        rows.append(("changed", Text.assemble("HubSpot differs since ", local(story.changed_ms))))
        rows.append(("", "it is not sent again; bring LeadGenius up to date by hand"))
    if story.edited is not None:
        rows.append(("edited", f"at LeadGenius since it was verified: {_line(story.edited)}"))
    rows += _namesakes(story)
    if stories.forgotten_ms is not None:
        rows.append(("forgotten", Text.assemble(local(stories.forgotten_ms), f": {_GONE}")))
    return key_values(rows)


def _hold(contact: ContactSummary) -> Iterator[tuple[str, str | Text]]:
    if contact.held is None:
        return
    meaning, _ = HOLDS[contact.held]
    yield "held", Text.assemble((str(contact.held), "yellow"), f"  {meaning}", overflow="fold")
    if contact.detail:
        yield "", _line(contact.detail)
    for one in advice(contact.held, [contact.state]):
        yield "", with_commands(f"→ {one}")


def _doubt(attempt: SendAttempt, running: Run | None) -> str:
    if running is not None and running.id == attempt.run_id:
        return with_commands(
            f"a push is at work (process {running.pid}): the send is in flight, or it settles it"
        )
    return with_commands(
        "sent, and no answer says whether LeadGenius has the lead. "
        "`migrator push --resume` looks there before it sends anything again."
    )


def _namesakes(story: ContactHistory) -> Iterator[tuple[str, str | Text]]:
    title = "same e-mail"
    for one in story.first_namesakes:
        held = f", held: {one.held}" if one.held else ""
        lead = f", lead {_line(one.lead_id)}" if one.lead_id else ""
        yield title, f"contact {_line(one.hubspot_id)} ({one.state}{held}{lead})"
        title = ""
    if (more := story.namesakes - len(story.first_namesakes)) > 0:
        yield "", f"and {more:,} more contacts"
    if story.foreign_lead is not None:
        yield title, f"lead {_line(story.foreign_lead)} at LeadGenius, not sent by this ledger"


# Where it comes from


def _origin(story: ContactHistory) -> RenderableType:
    rows: list[tuple[str, str | Text]] = [
        (one_line(str(name)), _value(value)) for name, value in story.source.items()
    ]
    rows.append(("company", _company(story)))
    rows += [
        (f"  {one_line(name)}", _value(value)) for name, value in (story.company or {}).items()
    ]
    if story.amended:
        amended = story.amended if isinstance(story.amended, dict) else {"amended": story.amended}
        rows += [
            (f"amended {one_line(str(name))}", Text(_value(value), style="yellow"))
            for name, value in amended.items()
        ]
    return key_values(rows)


def _company(story: ContactHistory) -> str:
    if story.company_id is None:
        return "none"
    why = COMPANY_RULES.get(story.company_rule or "", "")
    lacking = "" if story.company is not None else "; HubSpot does not give it"
    return f"{_line(story.company_id)} ({why}{lacking})"


def _lead(story: ContactHistory, lead: Mapping[str, str]) -> RenderableType:
    made_up = dict(MADE_UP[kind] for kind in story.made_up if kind in MADE_UP)
    rows: list[tuple[str, str | Text]] = []
    for field, value in lead.items():
        text = Text(strip_control(_value(value, keep_lines=True)), overflow="fold")
        if field in made_up:
            text.append(f"  ({made_up[field]})", style="yellow")
        rows.append((one_line(field), text))
    if others := [kind for kind in story.made_up if kind not in MADE_UP]:
        rows.append(("made up", one_line(", ".join(others))))
    if story.mapping is not None:
        rows.append(("mapping", story.mapping[:_SHORT_HASH]))
    return key_values(rows)


def _value(value: Any, *, keep_lines: bool = False) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return shortened(strip_control(text) if keep_lines else one_line(text))


# What was done


def _sends(story: ContactHistory, running: Run | None, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    for title in ("no.", "when", "run", "HTTP"):
        table.add_column(title, no_wrap=True)
    table.add_column("how it ended", ratio=1, overflow="fold")
    for one in story.attempts:
        status = "" if one.status is None else str(one.status)
        when = local(one.sent_ms, _TO_THE_SECOND)
        table.add_row(str(one.number), when, str(one.run_id), status, _ended(one, running))
    return table


def _ended(attempt: SendAttempt, running: Run | None) -> RenderableType:
    if attempt.outcome is None:
        is_running = running is not None and running.id == attempt.run_id
        words = Text("in flight or in doubt" if is_running else "in doubt", style="yellow")
    else:
        words = Text(OUTCOMES[attempt.outcome])
    if attempt.lead_id is not None:
        words.append(f": {_line(attempt.lead_id)}")
    if attempt.answer is None:
        return words
    return Group(words, Text(_line(attempt.answer), style="dim", overflow="fold"))


def _history(story: ContactHistory, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    table.add_column("when", no_wrap=True)
    table.add_column("what", ratio=1, overflow="fold")
    for event in story.events:
        table.add_row(local(event.at_ms, _TO_THE_SECOND), Text(_moved(event)))
    return table


def _moved(event: StateChange) -> str:
    held = "" if event.held is None else f", held: {event.held}"
    if event.source is None:
        return f"read from HubSpot: {event.target}{held}"
    if event.source is event.target:
        return f"{event.target}{held or ', free'}"
    return f"{event.source} → {event.target}{held}"


def _line(text: str) -> str:
    return shortened(one_line(text))
