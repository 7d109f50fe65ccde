"""
The rare situations that a run met, counted from its evidence: the ledger and the sandbox's record.

A run that says "nothing was lost" proves little if nothing ever went wrong in it. Each situation is
a question to the ledger, in SQL, or to what the sandbox recorded; nothing is counted by the run
itself. The model, the cuts and the soak add them up and print the table; the model and the cuts
fail when one that they are to meet was never met.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from benchmarks.judge import UNAUTHORIZED, reading
from migrator.sandbox import Sandbox, SandboxVerdict

# Name -> the number of times, in a ledger. `was_held` is a contact's event with the hold before it.
_IN_THE_LEDGER: Mapping[str, str] = {
    "a create in doubt was found": "FROM attempt WHERE kind = 'create' AND outcome = 'found'",
    "a create in doubt had not arrived": (
        "FROM attempt WHERE kind = 'create' AND outcome = 'absent'"
    ),
    "a contact was settled twice": (
        "FROM (SELECT 1 FROM attempt WHERE kind = 'create' AND outcome IN ('found', 'absent') "
        "GROUP BY contact_key HAVING count(*) > 1)"
    ),
    "an attempt of a process that died was settled": (
        "FROM attempt JOIN run ON run.id = run_id WHERE exit_code IS NULL "
        "AND outcome IN ('found', 'absent', 'edited') AND run_id < (SELECT max(id) FROM run)"
    ),
    "an attempt of a command that stopped was settled": (
        "FROM attempt JOIN run ON run.id = run_id WHERE settled_ms > run.ended_ms "
        "AND outcome IN ('found', 'absent', 'edited')"
    ),
    "a contact was created by a second attempt": (
        "FROM attempt WHERE kind = 'create' AND outcome IN ('created', 'found') AND number > 1"
    ),
    "a lead of another ledger was adopted": (
        "FROM contact WHERE lead_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM attempt "
        "WHERE contact_key = key AND attempt.lead_id = contact.lead_id)"
    ),
    "a create was refused": "FROM attempt WHERE kind = 'create' AND outcome = 'refused'",
    "a create was throttled": "FROM attempt WHERE kind = 'create' AND outcome = 'throttled'",
    "a create never left": "FROM attempt WHERE kind = 'create' AND outcome = 'unsent'",
    "a contact was given up": "FROM event WHERE held = 'gave_up'",
    "a contact that was given up was sent after all": (
        "FROM (SELECT 1 FROM event WHERE held = 'gave_up' AND contact_key IN "
        "(SELECT key FROM contact WHERE lead_id IS NOT NULL) GROUP BY contact_key)"
    ),
    "a duplicate was freed": "FROM was_held WHERE was = 'duplicate_email' AND held IS NULL",
    "a contact changed at HubSpot before it was sent": (
        "FROM event WHERE source = 'mapped' AND target = 'extracted'"
    ),
    "a contact changed at HubSpot, and had a create that did not arrive": (
        "FROM (SELECT 1 FROM event JOIN attempt USING (contact_key) WHERE source = 'mapped' "
        "AND target = 'extracted' AND kind = 'create' AND outcome = 'absent' GROUP BY contact_key)"
    ),
    "a contact changed at HubSpot after it was sent": (
        "FROM attempt WHERE kind = 'update' AND outcome IN ('updated', 'found')"
    ),
    "a lead was missing": "FROM event WHERE held = 'missing'",
    "a missing lead was sent again": (
        "FROM was_held WHERE was = 'missing' AND source <> 'mapped' AND target = 'mapped'"
    ),
    "a contact had two leads": "FROM event WHERE held = 'doubled'",
    "a lead differed from what was sent": "FROM event WHERE held = 'different'",
    "a conflict": "FROM event WHERE held = 'conflict'",
    "a conflict was decided": "FROM attempt WHERE kind = 'update' AND overrode IS NOT NULL",
    "an update in doubt was found": "FROM attempt WHERE kind = 'update' AND outcome = 'found'",
    "an update in doubt had not arrived": (
        "FROM attempt WHERE kind = 'update' AND outcome = 'absent'"
    ),
    "an update in doubt met a person's edit": (
        "FROM attempt WHERE kind = 'update' AND outcome = 'edited'"
    ),
    "a lead was updated twice": (
        "FROM (SELECT 1 FROM attempt WHERE kind = 'update' AND outcome IN ('updated', 'found') "
        "GROUP BY contact_key HAVING count(*) > 1)"
    ),
    "a contact was merged after it was sent": "FROM contact WHERE succeeded_by IS NOT NULL",
    "a contact was gone before it was sent": "FROM event WHERE held = 'gone' AND source = 'mapped'",
    "a contact that was gone came back": "FROM was_held WHERE was = 'gone' AND held IS NULL",
    "a delete in doubt was found": "FROM attempt WHERE kind = 'delete' AND outcome = 'found'",
    "a delete in doubt had not arrived": (
        "FROM attempt WHERE kind = 'delete' AND outcome = 'absent'"
    ),
    "an undone contact was sent again": (
        "FROM was_held WHERE was = 'undone' AND held IS NULL AND contact_key IN "
        "(SELECT key FROM contact WHERE lead_id IS NOT NULL)"
    ),
    "a command took over from one that died": (
        "FROM run WHERE exit_code IS NULL AND id < (SELECT max(id) FROM run)"
    ),
    "a command stopped early": "FROM run WHERE exit_code = 4",
    "a command was interrupted": "FROM run WHERE exit_code IN (130, 143)",
}
_WAS_HELD = (
    "CREATE TEMP VIEW was_held AS SELECT *, lag(held) OVER (PARTITION BY contact_key "
    "ORDER BY number) AS was FROM event"
)

# Name -> the faults of the sandbox that it takes.
_BY_FAULT: Mapping[str, Collection[str]] = {
    "a create landed late": ("save_late",),
    "an update landed late": ("update:save_late",),
    "a delete landed late": ("delete:save_late",),
    "a delete was answered, and did nothing": ("delete:ignore",),
    "a create was saved, and answered as a failure": (
        *("error_after_saving", "html_after_saving", "conflict_after_saving", "truncated"),
        *("no_id", "empty_answer"),
    ),
    "a create was saved, and its answer lost": (
        *("drop_after_saving", "reset_after_saving", "hang_after_saving"),
    ),
    "a page of leads was cut short": ("short_page", "empty_page"),
    "a page of leads failed": ("list_error", "list_drop", "list_hang"),
    "a cursor was repeated": ("repeat_cursor", "hubspot_repeat_cursor"),
    "a cursor had expired": ("hubspot_cursor_expired",),
    "HubSpot failed": ("hubspot_error", "hubspot_drop", "hubspot_hang", "companies_hang"),
    "HubSpot throttled": ("hubspot_throttle", "hubspot_daily"),
}


def _late_and_found(sandbox: Sandbox) -> int:
    """Creates that landed after their answer was given up, and whose lead is in use."""
    kept = {str(lead["id"]) for lead in sandbox.held}
    return sum(one.fault == "save_late" and one.lead_id in kept for one in sandbox.received)


def _ghosts(sandbox: Sandbox) -> int:
    """Leads that were deleted, and that reads still showed for a while."""
    return sum(one.kind == "delete" and one.visible > one.moment for one in sandbox.history)


def _renewed(sandbox: Sandbox) -> int:
    """Writes that were declined because their token had ended."""
    return sum(one.method != "GET" and one.status == UNAUTHORIZED for one in sandbox.received)


_IN_THE_RECORD: Mapping[str, Callable[[Sandbox], int]] = {
    "a late create was found and kept": _late_and_found,
    "a deleted lead was still listed": _ghosts,
    "a token was renewed in mid-flight": _renewed,
    "a contact was merged at HubSpot": (
        lambda sandbox: sum(bool(one.merged) for one in sandbox.expected())
    ),
}
_IN_THE_VERDICT: Mapping[str, Callable[[SandboxVerdict], int]] = {
    "an edit came between a look and its write": (
        lambda verdict: len(verdict.edits.overwritten_unseen)
    ),
    "a person's edit outlived the updates": lambda verdict: len(verdict.edited),
}

SITUATIONS = (*_IN_THE_LEDGER, *_IN_THE_RECORD, *_IN_THE_VERDICT, *_BY_FAULT)


def met(sandbox: Sandbox, ledger: Path) -> Counter[str]:
    """How often each situation was met, by the ledger and the sandbox's record; never = 0."""
    counted = Counter[str](dict.fromkeys(SITUATIONS, 0))
    with reading(ledger) as rows:
        rows.execute(_WAS_HELD)
        for name, question in _IN_THE_LEDGER.items():
            counted[name] += rows.execute(f"SELECT count(*) {question}").fetchone()[0]
    for name, number in _IN_THE_RECORD.items():
        counted[name] += number(sandbox)
    verdict = sandbox.verdict()
    for name, count in _IN_THE_VERDICT.items():
        counted[name] += count(verdict)
    faults = Counter(one.fault for one in sandbox.received)
    for name, kinds in _BY_FAULT.items():
        counted[name] += sum(faults[kind] for kind in kinds)
    return counted


def table(counted: Mapping[str, int]) -> list[str]:
    """A line for each situation, the rarest last."""
    rows = sorted(counted.items(), key=lambda row: -row[1])
    reached = sum(number > 0 for number in counted.values())
    return [
        f"{reached} of {len(counted)} rare situations were met:",
        *(f"{number:>9,}  {name}" for name, number in rows),
    ]


def unmet(counted: Mapping[str, int], of: Iterable[str] = SITUATIONS) -> list[str]:
    """Those of some situations that were never met."""
    return [name for name in of if not counted[name]]
