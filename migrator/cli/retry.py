"""`migrator retry`: free held contacts, so that the next push sends them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, add_json, add_ledger
from migrator.cli.session import CommandResult, CommandRun, settings_of, work
from migrator.errors import NotReady, UsageError
from migrator.states import Hold
from migrator.text import one_line

if TYPE_CHECKING:
    from migrator.ledger import Released
    from migrator.progress import Display


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "contacts",
        metavar="CONTACT",
        nargs="*",
        help="HubSpot ids or e-mails; default: all with that reason",
    )
    reason = parser.add_mutually_exclusive_group()
    reason.add_argument(
        "--reason",
        choices=[hold.value for hold in Hold],
        help="only contacts that are held for this reason",
    )
    reason.add_argument(
        "--missing",
        dest="reason",
        action="store_const",
        const=Hold.MISSING.value,
        help="the same as --reason missing: posted, but LeadGenius does not list it",
    )
    parser.add_argument(
        "--recreate",
        action="store_true",
        help="also free missing contacts that were verified once: their leads have been deleted at "
        "LeadGenius, and the next push creates new ones",
    )
    add_ledger(parser)
    add_json(parser)


def retry(args: argparse.Namespace, display: Display) -> int:
    """Free held contacts."""
    from migrator.counters import RetryCounters
    from migrator.report import find_contacts, why_not_released

    if not args.contacts and args.reason is None:
        raise UsageError(
            "No contact and no reason was given.",
            "migrator retry --reason refused, or: migrator retry CONTACT",
        )

    def body(session: CommandRun) -> CommandResult:
        reason = Hold(args.reason) if args.reason else None
        holds = session.ledger.holds
        if reason is Hold.ALREADY_IN_DESTINATION:
            _check_overwrites_none(session)
        if args.contacts:
            with session.ledger.transaction():
                keys = [
                    key for named in args.contacts for key in find_contacts(session.ledger, named)
                ]
                held = {one.held for one in session.ledger.lookup.summaries(keys)}
                if reason is None and Hold.ALREADY_IN_DESTINATION in held:
                    _check_overwrites_none(session)
                released = holds.release_named(keys, reason, recreate=args.recreate)
        else:
            released = holds.release_all(Hold(args.reason), recreate=args.recreate)
        # A freed contact takes over the lead of a record that was merged into it.
        session.ledger.source_moves.pass_leads_on()
        stayed = [(one.now.hubspot_id, why_not_released(reason, one)) for one in released.stayed]
        following = session.say_next()
        details = {
            "meant": released.meant,
            "stayed": [{"contact": contact, "why": why} for contact, why in stayed],
            "next": following or None,
        }
        return CommandResult(
            _released(released, stayed), RetryCounters(released.freed).counters(), details=details
        )

    return work(args, display, settings_of(args), body)


def _check_overwrites_none(session: CommandRun) -> None:
    """
    Raises:
        NotReady: by a probe, sending these contacts would overwrite the leads with their e-mails.
    """
    from migrator.probe_records import newest_probe

    settings = session.settings
    probe = newest_probe(settings.state_folder, settings.leadgenius_url, session.ledger)
    if probe is not None and probe.findings.same_email == "updated":
        raise NotReady(
            "LeadGenius overwrites the lead that has the same e-mail as one that is sent, as the "
            f"probe of {probe.date} found out: contacts held as already_in_destination would "
            "overwrite the leads of others. None was freed.",
            "correct the e-mail in HubSpot, then migrator stage; or leave the contact held",
        )


def _released(released: Released, stayed: Sequence[tuple[str, str]]) -> str:
    from migrator.counters import RetryCounters

    lines = [RetryCounters(released.freed).line()]
    if staying := released.meant - released.freed:
        lines[0] += f" of {released.meant:,}"
        lines += [one_line(f"{contact} stays: {why}") for contact, why in stayed]
        if (more := staying - len(stayed)) > 0:
            lines.append(f"and {more:,} more stay")
    return "\n".join(lines)


COMMAND = Command(
    "retry",
    "free held contacts, so that the next push sends them",
    [
        "migrator retry --reason refused",
        "migrator retry 10251 ada@example.com",
        "migrator retry --missing",
        "migrator retry 10251 --recreate",
    ],
    _add_options,
    retry,
    about="It sends nothing; the next `migrator push` does. `migrator report` shows which are "
    "held, and why.",
)
