"""The report on the whole migration as JSON."""

from typing import Any

from migrator.findings import ProbeRecord
from migrator.ledger import Run
from migrator.report.labels import GONE, iso
from migrator.report.next_step import next_command
from migrator.report.summary import Report
from migrator.text import one_line


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
                               left_for_a_person, usage, not_ready, stopped_early, ledger, busy,
                               bug, interrupted
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
