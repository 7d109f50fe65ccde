"""
`migrator forget`: erase personal data for good, after asking.

Of single contacts, once they have no lead any more, or of all in a finished ledger.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, add_ledger
from migrator.cli.session import (
    CommandResult,
    CommandRun,
    confirm,
    settings_of,
    work,
)
from migrator.errors import UnfinishedJourney
from migrator.text import count_noun, one_line

if TYPE_CHECKING:
    from migrator.config import Settings
    from migrator.ledger import ErasableContact, Ledger, Unfinished
    from migrator.progress import Display


@dataclass(frozen=True)
class _Counts:
    """How many contacts a ledger has, and how many of them are held."""

    contacts: int
    held: int


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "contacts",
        metavar="CONTACT",
        nargs="*",
        help="HubSpot ids or e-mails; default: the whole ledger",
    )
    parser.add_argument(
        "--yes", action="store_true", help="do not ask (required without a terminal)"
    )
    add_ledger(parser)


def forget(args: argparse.Namespace, display: Display) -> int:
    """Erase personal data from a finished ledger; ids, hashes and states stay."""
    from migrator.counters import ForgetCounters
    from migrator.ledger import Ledger

    settings = settings_of(args)
    if args.contacts:
        return _forget_contacts(args, display, settings)
    with Ledger.open_for_work(settings.ledger, creates=False) as ledger:
        counts = _finished(ledger)
    if not args.yes:
        _ask(counts, display)

    def body(session: CommandRun) -> CommandResult:
        counts = _finished(session.ledger)
        session.ledger.erasure.erase()
        numbers = ForgetCounters(counts.contacts, counts.held)
        return CommandResult(numbers.line(), numbers.counters())

    return work(args, display, settings, body, is_work=False)


def _forget_contacts(args: argparse.Namespace, display: Display, settings: Settings) -> int:
    """Erase single contacts, all of them or none."""
    from migrator.counters import ForgetCounters
    from migrator.ledger import Ledger

    with Ledger.open_for_work(settings.ledger, creates=False) as ledger:
        ledger.erasure.ensure_not_erased()
        number = len(_erasable(ledger, args.contacts))
    if number and not args.yes:
        display.say(
            f"Names, e-mails, phone numbers and answers of {count_noun(number, 'contact')} are "
            "erased from the ledger for good. Ids, hashes, states and outcomes stay."
        )
        deed = f"forget {count_noun(number, 'contact')}"
        confirm(deed, "Nothing was forgotten", "migrator forget CONTACT")

    def body(session: CommandRun) -> CommandResult:
        keys = _erasable(session.ledger, args.contacts)
        numbers = ForgetCounters(session.ledger.erasure.erase_contacts(keys))
        return CommandResult(numbers.line(), numbers.counters())

    return work(args, display, settings, body)


def _erasable(ledger: Ledger, named: Sequence[str]) -> list[int]:
    """
    The keys of the named contacts, but for those that were erased before.

    Raises:
        UnfinishedJourney: one of them cannot be erased yet.
    """
    from migrator.report import find_contacts

    keys = [key for one in named for key in find_contacts(ledger, one)]
    contacts = ledger.erasure.contacts(keys)
    for contact in contacts:
        if contact.obstacle is not None:
            raise _not_yet(contact)
    return [contact.key for contact in contacts if contact.erased_ms is None]


def _not_yet(contact: ErasableContact) -> UnfinishedJourney:
    """Why a contact cannot be erased yet, and the command that comes before."""
    from migrator.ledger import Obstacle

    name, successor = one_line(contact.hubspot_id), one_line(contact.successor or "")
    undo = "migrator undo --gone" if contact.is_gone else "migrator undo"
    what, following = {
        Obstacle.OPEN: ("has a write in doubt", "migrator push --resume"),
        Obstacle.LEAD: ("has a lead in LeadGenius", f"{undo} {quote(contact.hubspot_id)}"),
        Obstacle.FREE: (
            "is in HubSpot, and the next push would send it",
            "erase it in HubSpot, then migrator stage",
        ),
        Obstacle.PASSED_ON: (
            f"had the lead that contact {successor} has now, which may still have its values",
            f"migrator update {quote(successor)}, then migrator verify; "
            f"if {successor} is gone, too: migrator undo --gone {quote(successor)}",
        ),
        None: ("", ""),
    }[contact.obstacle]
    return UnfinishedJourney(f"Contact {name} {what}, so it is not forgotten.", following)


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
    "erase personal data from the ledger for good; ids, hashes and states stay",
    ["migrator forget 10251", "migrator forget", "migrator forget --ledger acme.db --yes"],
    _add_options,
    forget,
    about="Single contacts are forgotten once LeadGenius has no lead of them any more. Without a "
    "contact, a finished ledger is: it is evidence only after that, and nothing can be staged, "
    "sent or verified with it.",
)
