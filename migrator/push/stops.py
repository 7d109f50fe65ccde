"""The messages with which a push stops or waits."""

import time

from migrator.errors import MigratorError, NotReady, ServiceBusy, ServiceDown, StoppedEarly
from migrator.http import SendOutcome
from migrator.ledger import MAX_ATTEMPTS
from migrator.push.breaker import Stop, StopReason
from migrator.rate_limit import RateLimiter
from migrator.text import count_noun, local_time

# Shorter waits than this, beyond the rate itself, are not shown.
SHORTEST_REST_SECONDS = 1.0
LATER = "migrator push --resume, later; everything done so far is kept"

NAMELESS = (
    "sent, its answer was lost, and LeadGenius lists a lead without id, notes and e-mail, which "
    "may be this one's: look it up there; only if it is not there, migrator retry"
)


def error_of(stop: Stop, sent: SendOutcome, now: float) -> MigratorError:
    """
    The error that ends the run.

    Args:
        sent: The result that led to the stop.
        now: Seconds on the monotonic clock, as `stop.until`.
    """
    answered = f"status {sent.status}: " if sent.status else ""
    told = f"{answered}{sent.answer or 'no answer'}"
    match stop.why:
        case StopReason.BUSY:
            return busy(None if stop.until is None else stop.until - now)
        case StopReason.ACCOUNT:
            return NotReady(
                f"LeadGenius refuses every lead in the same words ({told}): that is about the "
                "account or its settings, not about the contacts. No contact is held for it.",
                "migrator auth --status, to see whose login it is; then migrator push",
            )
    return ServiceDown(f"LeadGenius takes no leads at the moment ({told}).", LATER)


def busy(seconds: float | None) -> ServiceBusy:
    """The error for a wait that is too long; `None` = the service does not say how long."""
    if seconds is None:
        return ServiceBusy("LeadGenius lets nothing through: its limit is used up.", LATER)
    return ServiceBusy(
        f"LeadGenius lets nothing through until {local_time(time.time() + seconds)}.",
        "migrator push --resume then; everything done so far is kept",
    )


def unsettled(count: int, client_id: str) -> StoppedEarly:
    """The error for contacts that stay in doubt because of leads without an id."""
    stay, whose = ("stays", "its") if count == 1 else ("stay", "theirs")
    return StoppedEarly(
        f"{count_noun(count, 'contact')} {stay} in doubt: LeadGenius's list has leads "
        f"without an id, which may be {whose}.",
        f"ask LeadGenius to put right the leads without an id of the client {client_id}; then "
        "migrator push --resume. If a lead shows neither notes nor an e-mail even then, it holds "
        "the contacts, for you to look them up in LeadGenius",
    )


def unfinished() -> StoppedEarly:
    """The error for a push that created no lead and retried its contacts without success."""
    return StoppedEarly(
        "LeadGenius took no lead in this push, and those that failed before failed again.",
        f"migrator push --resume, to try them once more: {MAX_ATTEMPTS} attempts in all",
    )


def rest(limiter: RateLimiter, now: float) -> tuple[str | None, float | None]:
    """What a push waits for beyond its own rate, and for how long; `None` = nothing."""
    seconds = limiter.wait_seconds(now)
    is_long = seconds > SHORTEST_REST_SECONDS + limiter.interval_seconds
    return ("LeadGenius to allow more", seconds) if is_long else (None, None)
