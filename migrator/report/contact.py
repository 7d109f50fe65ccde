"""
The history of one contact: from HubSpot's values to the lead, each send and each state change.

`read` reads a `ContactReport` from the ledger; `as_json` and `render` show it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from migrator.ledger import (
    ContactSummary,
    GoneContact,
    Ledger,
    Run,
    SendAttempt,
    StateChange,
)
from migrator.report import summary
from migrator.report.find import find_contacts
from migrator.report.labels import (
    COMPANY_RULES,
    HOLDS,
    MADE_UP,
    OUTCOMES,
    STATES,
    advice,
    contacts,
    iso,
    local,
    quoted,
    shortened,
)
from migrator.report.layout import bare_table, key_values, print_to, titled, with_commands
from migrator.text import one_line, strip_control

# At most so many contacts with one e-mail address are shown, and so many others with it listed.
MOST_CONTACTS = 5
MOST_SAME_EMAIL = 5

_TO_THE_SECOND = "%Y-%m-%d %H:%M:%S"
_SHORT_HASH = 12
_GONE = "personal data was erased; what follows is the evidence"


@dataclass(frozen=True)
class ContactHistory:
    """
    Everything in the ledger about one contact. Texts are as the services returned them.

    Args:
        contact: Its state.
        source: The properties from HubSpot that the mapping reads.
        company_id, company_rule, company: The company used, the rule that chose it, and its
            properties; `company=None` = HubSpot does not return it, or there is none.
        amended: Values that a person entered in place of HubSpot's; `None` = none.
        lead: The lead as it is or would be sent, without the client_id; `None` = not mapped.
        made_up: Values that the mapping derived or cleaned.
        mapping: Hash of the mapping that built the lead; `None` = not recorded.
        attempts, events: Each send attempt and each state change, oldest first.
        namesakes, first_namesakes: Number of other contacts with its e-mail, and the first few.
        foreign_lead: Id of a lead with its e-mail that was not sent by this ledger.
        changed_ms: When HubSpot was seen to differ from what was posted.
        gone: Why HubSpot has it no more; `None` = it has it.
        edited: Fields of its verified lead that were edited since; `None` = none.
    """

    contact: ContactSummary
    source: Mapping[str, Any]
    company_id: str | None
    company_rule: str | None
    company: Mapping[str, Any] | None
    amended: Any
    lead: Mapping[str, str] | None
    made_up: tuple[str, ...]
    mapping: str | None
    attempts: Sequence[SendAttempt]
    events: Sequence[StateChange]
    namesakes: int
    first_namesakes: Sequence[ContactSummary]
    foreign_lead: str | None
    changed_ms: int | None
    gone: GoneContact | None
    edited: str | None

    @property
    def is_open(self) -> bool:
        """Whether its last send is in flight or in doubt."""
        return bool(self.attempts) and self.attempts[-1].outcome is None


@dataclass(frozen=True)
class ContactReport:
    """
    The contacts with one id or e-mail address; the page and the JSON show this.

    Args:
        found: Number of matching contacts; `told` holds the first of them.
        running: The run in progress.
        forgotten_ms: When personal data was erased from the ledger; `None` = it was not.
    """

    ledger: str
    found: int
    told: Sequence[ContactHistory]
    running: Run | None
    forgotten_ms: int | None


def read(ledger: Ledger, named: str) -> ContactReport:
    """
    Read the contacts that an id or e-mail address names.

    Raises:
        UsageError: there is none.
    """
    # Not in the transaction: the lock is tested to see whether a run is alive.
    report = summary.read(ledger)
    with ledger.transaction():
        keys = find_contacts(ledger, named)
        return ContactReport(
            ledger=report.ledger,
            found=len(keys),
            told=tuple(
                _history_of(ledger, one) for one in ledger.lookup.summaries(keys[:MOST_CONTACTS])
            ),
            running=report.running,
            forgotten_ms=report.forgotten_ms,
        )


def _history_of(ledger: Ledger, contact: ContactSummary) -> ContactHistory:
    lookup, origin = ledger.lookup, ledger.lookup.provenance(contact.key)
    namesakes, first_namesakes = lookup.same_email(contact.key, MOST_SAME_EMAIL)

    return ContactHistory(
        contact=contact,
        source=origin.source.get("properties", {}),
        company_id=origin.company_id,
        company_rule=origin.company_rule,
        company=origin.company,
        amended=origin.amended,
        lead=origin.lead,
        made_up=origin.derived_fields,
        mapping=origin.mapping,
        attempts=lookup.attempts(contact.key),
        events=lookup.events(contact.key),
        namesakes=namesakes,
        first_namesakes=first_namesakes,
        foreign_lead=lookup.foreign_lead(contact.key),
        changed_ms=lookup.changed_ms(contact.key),
        gone=lookup.absence(contact.key),
        edited=origin.edited,
    )


# As JSON


def as_json(report: ContactReport) -> dict[str, Any]:
    """
    The report as JSON values, under names that do not change. Times are ISO 8601, UTC.

        ledger     the file's path
        forgotten  when personal data was erased from the ledger; null = it was not
        found      how many contacts have the id or the e-mail
        contacts   the first five of them, the one that was or will be sent first:
            contact, state, held, detail, lead_id
            in_doubt               a send of it is in flight or in doubt
            source                 {property: value}, as HubSpot returned it
            company                {id, rule, properties}
            amended                values that a person entered in place of HubSpot's
            lead                   {field: value}, without the client_id
            made_up                [value that the mapping derived or cleaned]
            mapping                hash of the mapping that built the lead
            attempts               [{number, run, sent, ended, outcome, status, answer, settled,
                                   lead_id}]; outcome null = in flight or in doubt
            history                [{at, from, to, held}]; from null = first read
            same_email             {contacts, first: [{contact, state, held, lead_id}], lead}: other
                                   contacts; lead = one at LeadGenius that is not ours
            changed_after_posting  when HubSpot was seen to differ from what was posted
            gone                   {why: merged, archived or unknown, merged_into, successor: the
                                   contact that has its lead now}; null = HubSpot has it
            edited_after_verifying [field] of its verified lead
    """
    return {
        "ledger": report.ledger,
        "forgotten": iso(report.forgotten_ms),
        "found": report.found,
        "contacts": [_contact_json(history) for history in report.told],
    }


def _contact_json(history: ContactHistory) -> dict[str, Any]:
    company = {
        "id": history.company_id,
        "rule": history.company_rule,
        "properties": history.company,
    }
    return {
        **_summary_json(history.contact),
        "detail": history.contact.detail,
        "in_doubt": history.is_open,
        "source": dict(history.source),
        "company": company if history.company_id is not None else None,
        "amended": history.amended,
        "lead": history.lead,
        "made_up": list(history.made_up),
        "mapping": history.mapping,
        "attempts": [_attempt_json(attempt) for attempt in history.attempts],
        "history": [_event_json(event) for event in history.events],
        "same_email": {
            "contacts": history.namesakes,
            "first": [_summary_json(one) for one in history.first_namesakes],
            "lead": history.foreign_lead,
        },
        "changed_after_posting": iso(history.changed_ms),
        "gone": None if history.gone is None else _gone_json(history.gone),
        "edited_after_verifying": history.edited.split(", ") if history.edited else [],
    }


def _gone_rows(gone: GoneContact) -> list[tuple[str, str | Text]]:
    why = {"merged": f"merged into contact {gone.into}", "archived": "archived in HubSpot"}
    rows: list[tuple[str, str | Text]] = [
        ("gone", quoted(why.get(gone.why, "HubSpot does not have it any more")))
    ]
    if gone.successor is not None:
        rows.append(("", f"contact {quoted(gone.successor)} has its lead now"))
    return rows


def _gone_json(gone: GoneContact) -> dict[str, Any]:
    return {"why": gone.why, "merged_into": gone.into, "successor": gone.successor}


def _summary_json(contact: ContactSummary) -> dict[str, Any]:
    return {
        "contact": contact.hubspot_id,
        "state": contact.state,
        "held": contact.held,
        "lead_id": contact.lead_id,
    }


def _attempt_json(attempt: SendAttempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "run": attempt.run_id,
        "sent": iso(attempt.sent_ms),
        "ended": iso(attempt.ended_ms),
        "outcome": attempt.outcome,
        "status": attempt.status,
        "answer": attempt.answer,
        "settled": iso(attempt.settled_ms),
        "lead_id": attempt.lead_id,
    }


def _event_json(event: StateChange) -> dict[str, Any]:
    return {
        "at": iso(event.at_ms),
        "from": event.source,
        "to": event.target,
        "held": event.held,
    }


# As a page


def render(report: ContactReport, console: Console | None = None) -> None:
    """
    Print the report.

    Args:
        console: Where to; `None` = stdout.

    Raises:
        BrokenPipeError: the reader of the output is gone.
    """
    print_to(lambda is_utf: _parts(report, is_utf), console)


def _parts(report: ContactReport, is_utf: bool) -> Iterator[RenderableType]:
    if report.found > 1:
        shown = "all of them" if report.found == len(report.told) else "the first of them"
        yield Text(f"{contacts(report.found)} found by this e-mail; {shown}:", style="yellow")
    for history in report.told:
        yield _state_rows(history, report)
        if report.forgotten_ms is None:
            yield titled("From HubSpot", _source_rows(history))
        if history.lead:
            yield titled("As a lead", _lead_rows(history, history.lead))
        if history.attempts:
            yield titled("Sends", _attempts_table(history, report.running, is_utf))
        yield titled("History", _events_table(history, is_utf))


def _state_rows(history: ContactHistory, report: ContactReport) -> RenderableType:
    contact = history.contact
    rows: list[tuple[str, str | Text]] = [
        ("contact", Text(quoted(contact.hubspot_id), style="bold", overflow="fold")),
        ("state", f"{contact.state}: {STATES[contact.state]}"),
    ]
    if contact.lead_id is not None:
        rows.append(("lead", f"{quoted(contact.lead_id)} at LeadGenius"))
    if history.is_open:
        rows.append(("in doubt", _doubt(history.attempts[-1], report.running)))
    if contact.held is not None:
        rows += _hold_rows(contact, is_erased=report.forgotten_ms is not None)
    if history.changed_ms is not None:
        rows.append(("changed", Text.assemble("HubSpot differs since ", local(history.changed_ms))))
        rows.append(("", "it is not sent again; update it in LeadGenius by hand"))
    if history.gone is not None:
        rows += _gone_rows(history.gone)
    if history.edited is not None:
        rows.append(("edited", f"in LeadGenius since it was verified: {quoted(history.edited)}"))
    rows += _namesake_rows(history)
    if report.forgotten_ms is not None:
        rows.append(("forgotten", Text.assemble(local(report.forgotten_ms), f": {_GONE}")))
    return key_values(rows)


def _hold_rows(contact: ContactSummary, *, is_erased: bool) -> Iterator[tuple[str, str | Text]]:
    if contact.held is None:
        return
    meaning, _ = HOLDS[contact.held]
    yield "held", Text.assemble((str(contact.held), "yellow"), f"  {meaning}", overflow="fold")
    if contact.detail:
        yield "", quoted(contact.detail)
    # Nothing can be done about the contacts of an erased ledger.
    for one in () if is_erased else advice(contact.held, [contact.state]):
        yield "", with_commands(f"→ {one}")


def _doubt(attempt: SendAttempt, running: Run | None) -> str:
    if running is not None and running.id == attempt.run_id:
        return with_commands(
            f"a push is running (process {running.pid}): it awaits the answer or settles the doubt"
        )
    return with_commands(
        "sent, and no answer says whether LeadGenius has the lead. "
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
    if others := [kind for kind in history.made_up if kind not in MADE_UP]:
        rows.append(("derived", one_line(", ".join(others))))
    if history.mapping is not None:
        rows.append(("mapping", history.mapping[:_SHORT_HASH]))
    return key_values(rows)


def _value(value: Any, *, keep_lines: bool = False) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return shortened(strip_control(text) if keep_lines else one_line(text))


def _attempts_table(history: ContactHistory, running: Run | None, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    for title in ("no.", "when", "run", "HTTP"):
        table.add_column(title, no_wrap=True)
    table.add_column("how it ended", ratio=1, overflow="fold")
    for one in history.attempts:
        status = "" if one.status is None else str(one.status)
        when = Text(local(one.sent_ms, _TO_THE_SECOND))
        table.add_row(str(one.number), when, str(one.run_id), status, _ended(one, running))
    return table


def _ended(attempt: SendAttempt, running: Run | None) -> RenderableType:
    if attempt.outcome is None:
        is_running = running is not None and running.id == attempt.run_id
        words = Text("in flight or in doubt" if is_running else "in doubt", style="yellow")
    else:
        words = Text(OUTCOMES[attempt.outcome])
    if attempt.lead_id is not None:
        words.append(f": {quoted(attempt.lead_id)}")
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
