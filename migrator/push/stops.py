"""The errors that stop a push, and what it waits for, in words."""

import time

from migrator.errors import (
    MigratorError,
    NotReady,
    RunAgain,
    ServiceBusy,
    ServiceDown,
    StoppedEarly,
)
from migrator.http import SendOutcome
from migrator.ledger import MAX_ATTEMPTS
from migrator.push.breaker import Stop, StopReason
from migrator.rate_limit import RateLimiter
from migrator.text import count_noun, local_time

# Shorter waits than this, beyond the rate itself, are not shown.
SHORTEST_REST_SECONDS = 1.0
LATER = RunAgain(after=", later; everything done so far is kept")


def error_of(stop: Stop, sent: SendOutcome, now: float, noun: str) -> MigratorError:
    """
    The error that ends the run.

    Args:
        sent: The result that led to the stop.
        now: Seconds on the monotonic clock, as `stop.until`.
        noun: What is sent, in the plural.
    """
    answered = f"status {sent.status}: " if sent.status else ""
    answer = f"{answered}{sent.answer or 'no answer'}"
    match stop.why:
        case StopReason.BUSY:
            return busy(None if stop.until is None else stop.until - now)
        case StopReason.ACCOUNT:
            return NotReady(
                f"LeadGenius refuses all {noun} with the same answer ({answer}): the cause is "
                "the account or its settings, not the contacts. No contact is held for it.",
                RunAgain("migrator auth --status, to see whose login it is; then "),
            )
    return ServiceDown(f"LeadGenius accepts no {noun} at the moment ({answer}).", LATER)


def busy(seconds: float | None) -> ServiceBusy:
    """The error for a wait that is too long; `None` = the service does not say how long."""
    if seconds is None:
        return ServiceBusy("LeadGenius accepts no requests: the rate limit is used up.", LATER)
    return ServiceBusy(
        f"LeadGenius accepts no requests until {local_time(time.time() + seconds)}.",
        RunAgain(after=" then; everything done so far is kept"),
    )


def unsettled(count: int, client_id: str) -> StoppedEarly:
    """The error for contacts that stay in doubt because of leads without an id."""
    stay, whose = ("stays", "its") if count == 1 else ("stay", "theirs")
    return StoppedEarly(
        f"{count_noun(count, 'contact')} {stay} in doubt: LeadGenius lists leads without an id, "
        f"which may be {whose}.",
        RunAgain(
            f"ask LeadGenius to repair the leads without an id of the client {client_id}; then ",
            ". If one still shows neither notes nor an e-mail, the contacts are held, and you look "
            "them up in LeadGenius",
        ),
    )


def unfinished(noun: str) -> StoppedEarly:
    """The error for a push that created no lead and retried its contacts without success."""
    return StoppedEarly(
        f"LeadGenius accepted no {noun} in this run; contacts that had failed failed again.",
        RunAgain(after=f", to send them again: {MAX_ATTEMPTS} attempts in total"),
    )


def rest(limiter: RateLimiter, now: float) -> tuple[str | None, float | None]:
    """What a push waits for beyond its own rate, and for how long; `None` = nothing."""
    seconds = limiter.wait_seconds(now)
    is_long = seconds > SHORTEST_REST_SECONDS + limiter.interval_seconds
    return ("the rate limit of LeadGenius", seconds) if is_long else (None, None)
