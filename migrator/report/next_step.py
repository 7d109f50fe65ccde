"""
The next command to type, derived from a report.

It is advice only: a command checks by itself whether it may run.
"""

from typing import TYPE_CHECKING

from migrator.report.labels import contacts
from migrator.states import Hold, State

if TYPE_CHECKING:
    from migrator.report.summary import Report

# Holds that `retry` releases. A verified lead that is missing was most likely deleted on purpose.
_RETRYABLE = (
    (Hold.REFUSED, State.MAPPED),
    (Hold.GAVE_UP, State.MAPPED),
    (Hold.MISSING, State.POSTED),
)


def next_command(report: "Report") -> str:
    """The next command to type; "" = done, or no command can do the rest."""
    return next_step(report)[0]


def next_step(report: "Report") -> tuple[str, str]:
    """The next command (see `next_command`), and why."""
    free = {state: standing.free for state, standing in report.states.items()}
    if not report.closes:
        return "", "keep the ledger's file as it is, and report this"
    if report.forgotten_ms is not None:
        return "", "personal data was erased: the ledger is evidence only"
    if report.running is not None:
        return "migrator report", f"`{report.running.command}` is running; look again later"
    if not report.given:
        return "migrator stage", "nothing is extracted yet"
    if not report.is_extracted:
        return "migrator stage", report.why_not_extracted
    if free[State.EXTRACTED]:
        return "migrator stage", f"{contacts(free[State.EXTRACTED])} not mapped yet"
    if report.in_doubt:
        return "migrator push --resume", f"{contacts(report.in_doubt)} in doubt"
    if report.is_push_unfinished:
        return "migrator push --resume", "the last push was interrupted"
    if free[State.MAPPED]:
        return "migrator push", f"{contacts(free[State.MAPPED])} ready to send"
    if report.unclaimed:
        return "migrator push", "it takes over the leads that `verify` found"
    if report.to_update:
        return "migrator update", f"{contacts(report.to_update)} changed in HubSpot or decided"
    if free[State.POSTED]:
        return "migrator verify", f"{contacts(free[State.POSTED])} not verified yet"
    return _next_of_held(report)


def _next_of_held(report: "Report") -> tuple[str, str]:
    held = {waiting.held: waiting.by_state for waiting in report.held}
    for hold, state in _RETRYABLE:
        number = held.get(hold, {}).get(state, 0)
        if number := number - (report.gone_missing if hold is Hold.MISSING else 0):
            return (
                f"migrator retry --reason {hold}",
                f"once you know why {contacts(number)} held",
            )
    return "", "done, except for what needs attention" if held else "done"
