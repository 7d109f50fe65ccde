"""The report for machines: the same facts under names that stay as they are. It shows nothing."""

from collections.abc import Iterable, Mapping
from typing import Any

from migrator.errors import ExitCode
from migrator.ledger import HeldContact, Run
from migrator.report.facts import Report
from migrator.report.next_step import next_command
from migrator.text import utc_time

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


def as_json(report: Report) -> dict[str, Any]:
    """
    The report as values that JSON can hold. Times are ISO 8601, UTC.

        ledger                 the file's path
        at                     when this was read
        forgotten              when the people were taken out of the ledger; null = it knows them
        journey                {portal_id, leadgenius_url, client_id}; null = not known yet
        states                 {extracted, mapped, posted, verified}: {free, in_doubt, held, total}
        held                   {reason: {contacts, examples: [{contact, state, detail}]}}; only
                               reasons that hold a contact
        sums                   {given, accounted, closes}: by HubSpot; in the ledger; whether equal
        in_doubt               contacts in flight or in doubt
        changed_after_posting  {contacts, examples: [contact]}
        edited_after_verifying {contacts, examples: [{contact, fields}]}: at LeadGenius
        unclaimed_leads        leads that the last `verify` saw of contacts that have none here
        mapping                the hash of the mapping in force; null = none was chosen yet
        posted_by_other_mapping
                               {contacts, examples: [contact]}: as a mapping built them that is
                               not in force any more
        extraction             {complete, pages, met, counted}: of the last sweep through HubSpot;
                               complete: it reached the last page, and nothing is known to be
                               missing; counted: by HubSpot itself, null = not known
        runs                   the last five, newest first: {command, pid, host, began, ended,
                               exit_code, status, counters}; status: running, killed, done,
                               left_for_a_person, usage, not_ready, stopped_early, ledger, bug,
                               interrupted
        pace                   {per_minute, seconds_left} of a push at work; null = none is
        next                   the next command to type; null = none
    """
    return {
        "ledger": report.ledger,
        "at": iso(report.now_ms),
        "forgotten": None if report.forgotten_ms is None else iso(report.forgotten_ms),
        "journey": dict(vars(report.binding)),
        "states": {
            str(state): {**vars(standing), "total": standing.total}
            for state, standing in report.states.items()
        },
        "held": {
            str(one.held): {"contacts": one.contacts, "examples": _examples(one.examples)}
            for one in report.held
        },
        "sums": {
            "given": report.given,
            "accounted": report.accounted,
            "closes": report.closes,
        },
        "in_doubt": report.in_doubt,
        "changed_after_posting": {
            "contacts": report.changed,
            "examples": list(report.changed_examples),
        },
        "edited_after_verifying": {
            "contacts": report.edited,
            "examples": [
                {"contact": one.hubspot_id, "fields": one.fields.split(", ")}
                for one in report.edited_examples
            ],
        },
        "unclaimed_leads": report.unclaimed,
        "mapping": report.mapping,
        "posted_by_other_mapping": {
            "contacts": report.sent_by_others,
            "examples": list(report.sent_by_others_examples),
        },
        "extraction": {
            "complete": report.is_extracted,
            "pages": report.extraction.pages,
            "met": report.extraction.met,
            "counted": report.extraction.counted,
        },
        "runs": [_run(run, status(run, report)) for run in report.runs],
        "pace": None if report.speed is None else dict(vars(report.speed)),
        "next": next_command(report) or None,
    }


def status(run: Run, report: Report) -> str:
    """How a run ended, in one word (see `as_json`)."""
    if run.exit_code is None:
        is_running = report.running is not None and report.running.id == run.id
        return "running" if is_running else "killed"
    return _STATUSES.get(run.exit_code, "bug")


def _examples(contacts: Iterable[HeldContact]) -> list[dict[str, Any]]:
    return [
        {"contact": one.hubspot_id, "state": str(one.state), "detail": one.detail}
        for one in contacts
    ]


def _run(run: Run, ended_as: str) -> dict[str, Any]:
    return {
        "command": run.command,
        "pid": run.pid,
        "host": run.host,
        "began": iso(run.began_ms),
        "ended": None if run.ended_ms is None else iso(run.ended_ms),
        "exit_code": run.exit_code,
        "status": ended_as,
        "counters": dict(run.counters),
    }


def iso(milliseconds: int) -> str:
    """A moment as machines want it."""
    return utc_time(milliseconds // 1000)
