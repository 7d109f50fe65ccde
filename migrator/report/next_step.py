"""
What comes next: from where the contacts stand to the one command to type.

It decides nothing that matters: whoever types another command is refused where that would harm.
"""

from migrator.errors import UNFINISHED, ExitCode
from migrator.report.facts import Report
from migrator.report.labels import contacts
from migrator.states import Hold, State

# What a person can send again; a verified lead that is missing was most likely deleted on purpose.
_RETRYABLE = (
    (Hold.REFUSED, State.MAPPED),
    (Hold.GAVE_UP, State.MAPPED),
    (Hold.MISSING, State.POSTED),
)


def next_command(report: Report) -> str:
    """The next command to type; "" = there is nothing to do, or nothing that a command can do."""
    return next_step(report)[0]


def next_step(report: Report) -> tuple[str, str]:
    """The next command (see `next_command`), and why."""
    free = {state: standing.free for state, standing in report.states.items()}
    if not report.closes:
        return "", "keep the ledger's file as it is, and report this"
    if report.forgotten_ms is not None:
        return "", "the ledger is forgotten: it proves what was done, and nothing is left to do"
    if report.running is not None:
        return "migrator report", f"look again: `{report.running.command}` is at work"
    if not report.given:
        return "migrator stage", "nothing is extracted yet"
    if not report.is_extracted:
        return "migrator stage", report.why_not_extracted
    if free[State.EXTRACTED]:
        return "migrator stage", f"{contacts(free[State.EXTRACTED])} not mapped yet"
    if report.in_doubt:
        return "migrator push --resume", f"{contacts(report.in_doubt)} in doubt"
    if _is_push_unfinished(report):
        return "migrator push --resume", "the last push did not come to its end"
    if free[State.MAPPED]:
        return "migrator push", f"{contacts(free[State.MAPPED])} ready to be sent"
    if report.unclaimed:
        return "migrator push", "it takes over the leads that `verify` found"
    if free[State.POSTED]:
        return "migrator verify", f"{contacts(free[State.POSTED])} not verified yet"
    return _next_of_held(report)


def _is_push_unfinished(report: Report) -> bool:
    was_pushed, code = report.last_push
    # One that was not ready to begin is worth resuming only while there is something to send.
    is_worth_it = code == ExitCode.NOT_READY and report.states[State.MAPPED].free > 0
    return was_pushed and (code in UNFINISHED or is_worth_it)


def _next_of_held(report: Report) -> tuple[str, str]:
    held = {waiting.held: waiting.by_state for waiting in report.held}
    for hold, state in _RETRYABLE:
        if number := held.get(hold, {}).get(state, 0):
            return (
                f"migrator retry --reason {hold}",
                f"when you have read above why {contacts(number)} held",
            )
    return "", "nothing is left to do" + (" but what waits for you above" if held else "")
