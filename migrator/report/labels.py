"""
Texts for people: what each state, hold and ending means and what to do, and how values are written.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from migrator.counters import counters_of
from migrator.ledger import Run
from migrator.states import Hold, Outcome, State
from migrator.text import one_line, utc_time

# A space that does not break; printed as a space. (rich breaks lines at U+00A0 too.)
STICKY = "\ue000"
# An id or an answer can be of any length.
LONGEST_QUOTE = 300

STATES: Mapping[State, str] = {
    State.EXTRACTED: "read from HubSpot",
    State.MAPPED: "ready to send",
    State.POSTED: "sent, not confirmed yet",
    State.VERIFIED: "confirmed in LeadGenius",
}

_IN_A_SPREADSHEET = "or in a spreadsheet: `migrator report --csv held.csv`"

# Why a contact is held, as a heading.
REASONS: Mapping[Hold, str] = {
    Hold.NO_EMAIL: "No e-mail address",
    Hold.INVALID_EMAIL: "Invalid e-mail address",
    Hold.DUPLICATE_EMAIL: "Same e-mail as another contact",
    Hold.ALREADY_IN_DESTINATION: "E-mail already in LeadGenius",
    Hold.REFUSED: "Refused by LeadGenius",
    Hold.GAVE_UP: "Given up after several attempts",
    Hold.MISSING: "Missing from LeadGenius",
    Hold.DIFFERENT: "Different in LeadGenius",
    Hold.DOUBLED: "Several leads in LeadGenius",
    Hold.CONFLICT: "Changed in HubSpot and in LeadGenius",
    Hold.GONE: "No longer in HubSpot",
    Hold.UNDONE: "Taken back",
}

# What it means, and what a person can do about it.
HOLDS: Mapping[Hold, tuple[str, Sequence[str]]] = {
    Hold.NO_EMAIL: (
        "HubSpot has no e-mail address, and a lead needs one.",
        ("add it in HubSpot, then `migrator stage`; or leave them out", _IN_A_SPREADSHEET),
    ),
    Hold.INVALID_EMAIL: (
        "The e-mail address in HubSpot is not valid.",
        ("correct it in HubSpot, then `migrator stage`; or leave them out", _IN_A_SPREADSHEET),
    ),
    Hold.DUPLICATE_EMAIL: (
        "Another contact with this e-mail is sent instead.",
        ("leave them; or correct it in HubSpot, then `migrator stage`",),
    ),
    Hold.ALREADY_IN_DESTINATION: (
        "LeadGenius has a lead with this e-mail.",
        (
            "leave them; or, to create a second lead:",
            "`migrator retry --reason already_in_destination`",
        ),
    ),
    Hold.REFUSED: (
        "LeadGenius refused the lead, with this answer.",
        (
            "correct the contact in HubSpot, then `migrator stage`",
            _IN_A_SPREADSHEET,
            "or, to send it as it is: `migrator retry --reason refused`",
        ),
    ),
    Hold.GAVE_UP: (
        "Sent repeatedly; no lead is known to have been created.",
        (
            "ask LeadGenius why, and whether it has the lead after all;",
            "only if not: `migrator retry --reason gave_up`",
        ),
    ),
    Hold.MISSING: (
        "Posted, but LeadGenius does not list the lead.",
        (
            "to send it again: `migrator retry --reason missing`",
            "a verified one was deleted since; to create a new lead anyway:",
            "`migrator retry CONTACT --recreate`",
        ),
    ),
    Hold.DIFFERENT: (
        "In LeadGenius these fields differ from what was sent.",
        (
            "correct it there, then `migrator verify`; or leave it as it is;",
            "or, to decide as in a conflict: `migrator update --prefer hubspot`",
            _IN_A_SPREADSHEET,
        ),
    ),
    Hold.DOUBLED: (
        "LeadGenius lists more than one lead for the contact.",
        (
            "delete all but the one to keep: `migrator undo --doubled`,",
            "or there, then `migrator verify`",
        ),
    ),
    Hold.CONFLICT: (
        "The same field was changed in HubSpot and in LeadGenius.",
        (
            "to take HubSpot's value: `migrator update --prefer hubspot`",
            "to keep LeadGenius's: `migrator update --prefer leadgenius`",
            _IN_A_SPREADSHEET,
        ),
    ),
    Hold.GONE: (
        "HubSpot has it no more, so it is not sent.",
        ("leave it; if HubSpot gives it again, `migrator stage` frees it",),
    ),
    Hold.UNDONE: (
        "Its lead was deleted by `migrator undo`.",
        ("leave it; or, to send it again: `migrator retry --reason undone`",),
    ),
}


def advice(hold: Hold, states: Collection[State]) -> Sequence[str]:
    """What a person can do about a hold of contacts in these states."""
    lines = HOLDS[hold][1]
    # `retry --reason` does not release verified contacts.
    return lines[1:] if hold is Hold.MISSING and set(states) == {State.VERIFIED} else lines


# Why HubSpot has a contact no more.
GONE: Mapping[str, str] = {
    "merged": "merged into another contact",
    "archived": "archived",
    "unknown": "no longer there",
}

# Values that the mapping can derive or clean: the lead's field, and the origin of its value.
MADE_UP: Mapping[str, tuple[str, str]] = {
    "email_cleaned": ("email", "cleaned: HubSpot has marks or a name around it"),
    "first_name_from_email": ("firstName", "derived from the e-mail"),
    "first_name_dash": ("firstName", "a dash: neither HubSpot nor the e-mail has a name"),
    "last_name_from_email": ("lastName", "derived from the e-mail"),
    "last_name_dash": ("lastName", "a dash: neither HubSpot nor the e-mail has a name"),
    "company_name_from_email": ("companyName", "guessed from the e-mail's domain"),
}

COMPANY_RULES: Mapping[str, str] = {
    "primary": "its primary company",
    "associatedcompanyid": "HubSpot lists no primary one; by the property associatedcompanyid",
    "first": "HubSpot lists no primary one; the first of its companies",
}

# How a send ended, in the order shown; `None` = not yet.
OUTCOMES: Mapping[Outcome | None, str] = {
    Outcome.CREATED: "answered with the new lead's id",
    Outcome.UPDATED: "updated",
    Outcome.DELETED: "deleted",
    Outcome.FOUND: "in doubt first; a listing showed that it was done",
    Outcome.EDITED: "an update in doubt first; a listing showed other values",
    Outcome.ABSENT: "in doubt first; a complete listing showed that it was not done",
    Outcome.REFUSED: "refused by LeadGenius: nothing was done",
    Outcome.DENIED: "login or client rejected by LeadGenius: nothing was done",
    Outcome.THROTTLED: "rate limit: nothing was done",
    Outcome.UNSENT: "it never left this machine",
    None: "in flight or in doubt: LeadGenius is checked before anything is sent again",
}

ENDINGS: Mapping[str, str] = {
    "running": "running now as {pid}",
    "killed": "killed",
    "done": "done",
    "left_for_a_person": "{left} {need} attention",
    "usage": "not begun: wrong options",
    "not_ready": "stopped: not ready",
    "stopped_early": "stopped early",
    "ledger": "stopped: the ledger failed",
    "busy": "stopped: busy",
    "bug": "failed: a bug",
    "interrupted": "interrupted",
}


def ending(run: Run, status: str) -> str:
    """How a run ended."""
    left = sum(
        counters_of(command, counters).left_for_a_person
        for command, counters in run.by_command.items()
    )
    need = "need" if left != 1 else "needs"
    return ENDINGS[status].format(pid=run.pid, left=f"{left:,}", need=need)


def numbers(run: Run) -> str:
    """What a run did."""
    return " · ".join(map(no_wrap, counted(run)))


def counted(run: Run) -> Iterator[str]:
    """What a run did, one number with its label at a time."""
    for command, counters in run.by_command.items():
        parts = list(counters_of(command, counters).parts())
        if parts and run.steps:
            parts[0] = f"{command}: {parts[0]}"
        yield from parts


def no_wrap(text: str) -> str:
    """A text that is kept on one line where it fits."""
    return text.replace(" ", STICKY)


def contacts(number: int) -> str:
    """A number of contacts and the verb: "1 contact is", "2 contacts are"."""
    return f"{number:,} contact is" if number == 1 else f"{number:,} contacts are"


def shortened(text: str) -> str:
    """A text from a service, cut to `LONGEST_QUOTE`."""
    return text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 1]}…"


def quoted(text: str) -> str:
    """A text from a service on one line, shortened (see `shortened`)."""
    return shortened(one_line(text))


def local(milliseconds: int, form: str = "%Y-%m-%d %H:%M") -> str:
    """A time in the local zone."""
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime(form)


def iso(milliseconds: int | None) -> str | None:
    """A time as JSON has it: ISO 8601 in UTC; `None` = none."""
    return None if milliseconds is None else utc_time(milliseconds // 1000)
