"""Forgetting the people of a finished journey: asked for, in so many words, and for good."""

import argparse
from dataclasses import dataclass

from migrator.cli.asking import confirm
from migrator.cli.session import CommandResult, CommandRun, require_ledger, settings_of, work
from migrator.completeness import Completeness
from migrator.errors import UnfinishedJourney
from migrator.ledger import Ledger, Unfinished
from migrator.progress import Display

# What is left to be done, and the command that does it.
_UNFINISHED = {
    Unfinished.PAGES: ("HubSpot has more pages than were read", "migrator stage"),
    Unfinished.IN_DOUBT: ("contacts in doubt: {}", "migrator push --resume"),
    Unfinished.TO_MAP: ("contacts to map: {}", "migrator stage"),
    Unfinished.TO_SEND: ("contacts to send: {}", "migrator push --resume"),
    Unfinished.TO_VERIFY: (
        "contacts to verify: {}",
        "migrator verify; where the client is gone for good: delete the ledger's files",
    ),
}


@dataclass(frozen=True)
class _Whom:
    """How many contacts a ledger knows, and how many of them wait for a person."""

    contacts: int
    held: int


def forget(args: argparse.Namespace, display: Display) -> int:
    """Remove the people from a finished ledger; ids, hashes and states stay."""
    require_ledger(args)
    with Ledger.open_read_only(settings_of(args).ledger) as ledger:
        whom = _finished(ledger)
    if not args.yes:
        _ask(whom, display)

    def body(session: CommandRun) -> CommandResult:
        whom = _finished(session.ledger)
        session.ledger.erasure.erase()
        given_up = f" · {whom.held:,} of them held, and given up" if whom.held else ""
        return CommandResult(
            f"{whom.contacts:,} contacts forgotten{given_up}",
            {"forgotten": whom.contacts, "given_up": whom.held},
        )

    return work(args, display, [], body, is_work=False)


def _finished(ledger: Ledger) -> _Whom:
    if (left := ledger.erasure.unfinished()) is not None:
        what, following = _words(ledger, *left)
        raise UnfinishedJourney(
            f"The ledger {ledger.path} is not finished ({what}); "
            "forgotten, it could never be finished.",
            following,
        )
    sums = ledger.counts.sums()
    return _Whom(sum(one.contacts for one in sums), sum(one.contacts for one in sums if one.held))


def _words(ledger: Ledger, part: Unfinished, number: int) -> tuple[str, str]:
    if part is Unfinished.EXTRACTION:
        sweep = ledger.runs.checkpoint("extraction")
        found = Completeness(sweep.met, sweep.odd, sweep.counted)
        return found.why_not_whole(), "migrator stage"
    what, following = _UNFINISHED[part]
    return what.format(f"{number:,}"), following


def _ask(whom: _Whom, display: Display) -> None:
    given_up = f" {whom.held:,} of them still wait for you, and are given up." if whom.held else ""
    display.say(
        f"Names, e-mails, phone numbers, companies and answers of {whom.contacts:,} contacts "
        f"leave the ledger for good.{given_up}"
    )
    display.say(
        "Ids, hashes, states and outcomes stay. Nothing can be staged, sent or verified with the "
        "ledger after that."
    )
    confirm(f"forget {whom.contacts:,} contacts", "Nothing was forgotten", "migrator forget")
