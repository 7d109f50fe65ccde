"""`migrator forget`: erase personal data from a finished ledger for good, after asking."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, add_ledger
from migrator.cli.session import (
    CommandResult,
    CommandRun,
    confirm,
    read_ledger,
    settings_of,
    work,
)
from migrator.counters import ForgetCounters
from migrator.errors import UnfinishedJourney

if TYPE_CHECKING:
    from migrator.ledger import Ledger, Unfinished
    from migrator.progress import Display


@dataclass(frozen=True)
class _Counts:
    """How many contacts a ledger has, and how many of them are held."""

    contacts: int
    held: int


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--yes", action="store_true", help="do not ask (required without a terminal)"
    )
    add_ledger(parser)


def forget(args: argparse.Namespace, display: Display) -> int:
    """Erase personal data from a finished ledger; ids, hashes and states stay."""
    settings = settings_of(args)
    with read_ledger(settings.ledger) as ledger:
        counts = _finished(ledger)
    if not args.yes:
        _ask(counts, display)

    def body(session: CommandRun) -> CommandResult:
        counts = _finished(session.ledger)
        session.ledger.erasure.erase()
        numbers = ForgetCounters(counts.contacts, counts.held)
        return CommandResult(numbers.line(), numbers.counters())

    return work(args, display, settings, body, is_work=False)


def _finished(ledger: Ledger) -> _Counts:
    if (left := ledger.erasure.unfinished()) is not None:
        what, following = _words(ledger, *left)
        raise UnfinishedJourney(
            f"The ledger {ledger.path} is not finished ({what}); "
            "after `migrator forget` it could never be finished.",
            following,
        )
    sums = ledger.counts.sums()
    return _Counts(sum(one.contacts for one in sums), sum(one.contacts for one in sums if one.held))


def _words(ledger: Ledger, part: Unfinished, number: int) -> tuple[str, str]:
    """What is unfinished, and the command that finishes it."""
    from migrator.completeness import Completeness
    from migrator.ledger import Unfinished

    if part is Unfinished.EXTRACTION:
        scan = ledger.runs.checkpoint("extraction")
        found = Completeness(scan.met, scan.odd, scan.counted)
        return found.why_not_whole(), "migrator stage"
    commands = {
        Unfinished.PAGES: ("HubSpot has more pages than were read", "migrator stage"),
        Unfinished.IN_DOUBT: ("contacts in doubt: {}", "migrator push --resume"),
        Unfinished.TO_MAP: ("contacts to map: {}", "migrator stage"),
        Unfinished.TO_SEND: ("contacts to send: {}", "migrator push --resume"),
        Unfinished.TO_VERIFY: (
            "contacts to verify: {}",
            "migrator verify; if the client no longer exists: delete the ledger's files",
        ),
    }
    what, following = commands[part]
    return what.format(f"{number:,}"), following


def _ask(counts: _Counts, display: Display) -> None:
    given_up = f" {counts.held:,} of them are held, and are given up." if counts.held else ""
    display.say(
        f"Names, e-mails, phone numbers, companies and answers of {counts.contacts:,} contacts "
        f"are erased from the ledger for good.{given_up}"
    )
    display.say(
        "Ids, hashes, states and outcomes stay. Nothing can be staged, sent or verified with the "
        "ledger after that."
    )
    confirm(f"forget {counts.contacts:,} contacts", "Nothing was forgotten", "migrator forget")


COMMAND = Command(
    "forget",
    "erase personal data from a finished ledger for good; ids, hashes and states stay",
    ["migrator forget", "migrator forget --ledger acme.db --yes"],
    _add_options,
    forget,
    about="The ledger is evidence only after that: nothing can be staged, sent or verified with "
    "it.",
)
