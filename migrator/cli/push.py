"""`migrator push`: send every mapped contact to LeadGenius, at most once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, whole
from migrator.cli.sending import Sending, add_sending, hold_sending, noticing, push_options
from migrator.cli.session import CommandResult, CommandRun, settings_of, work
from migrator.errors import ExitCode, NotReady, UnfinishedPush
from migrator.text import count_noun

if TYPE_CHECKING:
    from migrator.connections import BoundDestination
    from migrator.counters import PushCounters
    from migrator.progress import Display


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resume", action="store_true", help="continue after a push that was interrupted"
    )
    add_amounts(parser)
    add_sending(parser)


def add_amounts(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how many contacts are sent."""
    parser.add_argument(
        "--limit", metavar="N", type=whole(1, 1_000_000_000), help="send at most this many contacts"
    )
    parser.add_argument(
        "--canary",
        metavar="N",
        type=whole(0, 1_000),
        default=5,
        help="in a first push, create this many leads and read them back before the rest "
        "(default 5; 0 = send all at once: if they end up in the wrong place, all of them do)",
    )


def push(args: argparse.Namespace, display: Display) -> int:
    """Send every mapped contact, at most once."""
    settings = settings_of(args, ["leadgenius"], needs_ledger=True)
    return work(args, display, settings, pushing(args))


def pushing(args: argparse.Namespace) -> Callable[[CommandRun], CommandResult]:
    """The push itself, on an open ledger."""

    def body(session: CommandRun) -> CommandResult:
        with hold_sending(session, args, _command(args)) as sending:
            if not args.resume:
                _refuse_after_an_unfinished_push(session)
            sending.bind(session)
            return send_all(session, args, sending)

    return body


def send_all(session: CommandRun, args: argparse.Namespace, sending: Sending) -> CommandResult:
    """Send what is left of the ledger, which is bound to the client."""
    from migrator.counters import PushCounters
    from migrator.push import push as send

    _heed_the_probe(session, sending.destination)
    if args.canary == 0:
        _warn_without_a_canary(session, args.limit)
    with noticing(session, PushCounters(), _pushed) as notice:
        progress = send(
            session.ledger,
            sending.destination.leadgenius,
            sending.limiter,
            push_options(args, sending.destination, limit=args.limit, canary=args.canary),
            run_id=session.run_id,
            signals=session.signals,
            notice=notice,
            outage=sending.outage,
            sender=sending.sender,
        )
    code = ExitCode.NEEDS_ATTENTION if progress.left_for_a_person else ExitCode.DONE
    return CommandResult(_pushed(progress), progress.counters(), code)


def _command(args: argparse.Namespace) -> str:
    return "push --resume" if args.resume else "push"


def _refuse_after_an_unfinished_push(session: CommandRun) -> None:
    if session.ledger.runs.is_push_unfinished():
        doubts = session.ledger.counts.in_doubt()
        raise UnfinishedPush(
            f"An earlier push was interrupted ({count_noun(doubts, 'contact')} in doubt).",
            "migrator push --resume",
        )


def _heed_the_probe(session: CommandRun, destination: BoundDestination) -> None:
    """
    Hold contacts again whose leads would overwrite others.

    Raises:
        NotReady: LeadGenius does not store what leads are recognised by.
    """
    from migrator.mapping_versions import active_rules

    ledger, findings = session.ledger, destination.findings
    if findings.cuts_off_record_line(active_rules(ledger).opening, destination.portal_id):
        raise NotReady(*findings.no_record_line())
    if findings.same_email == "updated" and (held := ledger.reconciliation.hold_freed()):
        session.display.say(
            f"{count_noun(held, 'contact')} held again (already_in_destination): by the probe, "
            "LeadGenius would overwrite the leads that have their e-mails"
        )


def _warn_without_a_canary(session: CommandRun, limit: int | None) -> None:
    ready = session.ledger.counts.to_send()
    sends = ready if limit is None else min(ready, limit)
    if sends and not session.ledger.runs.is_canary_passed():
        session.display.say(
            f"warning: --canary 0: up to {count_noun(sends, 'lead')} will be sent before any is "
            "checked to be in the right client"
        )


def _pushed(progress: PushCounters) -> str:
    alike = " · the last of them refused in the same words: it may be the account"
    return progress.line() + (alike if progress.are_alike else "")


COMMAND = Command(
    "push",
    "send every mapped contact to LeadGenius, at most once",
    [
        "migrator push --client-id historic-contacts --limit 5",
        "migrator push --resume",
        "migrator push --rate max --workers 16",
    ],
    _add_options,
    push,
    about="The first push into a client sends a few, reads them back, and continues only if they "
    "show up. It can be stopped at any time; after that, only --resume continues it, and checks "
    "LeadGenius before resending anything.",
)
