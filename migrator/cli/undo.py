"""`migrator undo`: delete the leads that this ledger created and that are as it left them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from migrator.cli.arguments import Command, whole
from migrator.cli.sending import (
    add_sending,
    hold_sending,
    keys_of,
    noticing,
    push_options,
)
from migrator.cli.session import CommandResult, CommandRun, can_ask, confirm, settings_of, work
from migrator.errors import ExitCode, UsageError
from migrator.text import count_noun, one_line

if TYPE_CHECKING:
    from migrator.connections import BoundDestination
    from migrator.counters import UndoCounters
    from migrator.progress import Display
    from migrator.undo import KeptLead, UndoPlan, UndoScope

# The looks before a delete, and the delete, are up to three requests within a minute.
_LOWEST_RATE = 3.0


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "contacts", metavar="CONTACT", nargs="*", help="HubSpot ids or e-mails: only these"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--run",
        dest="run_id",
        metavar="N",
        type=whole(1, 10**12),
        help="leads that this run created; `migrator show CONTACT` numbers the runs",
    )
    which.add_argument(
        "--gone",
        action="store_true",
        help="leads of contacts that HubSpot no longer has; each is asked for there again",
    )
    which.add_argument(
        "--doubled",
        action="store_true",
        help="of several leads of one contact, all but the one that the ledger holds",
    )
    which.add_argument("--all", action="store_true", help="the leads of all contacts")
    parser.add_argument(
        "--adopted",
        action="store_true",
        help="also leads that this ledger found and did not create, if they are as it would send "
        "them",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be deleted, and delete nothing"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before anything is deleted")
    add_sending(parser)


def undo(args: argparse.Namespace, display: Display) -> int:
    """Delete leads that this ledger created, where they are as it left them."""
    from migrator.counters import UndoCounters
    from migrator.undo import undo as take_back

    _check(args)
    details: dict[str, Any] = {}

    def body(session: CommandRun) -> CommandResult:
        with hold_sending(session, args, "undo") as sending:
            sending.bind(session)
            with noticing(session, UndoCounters(), _taken) as notice:
                progress, kept = take_back(
                    session.ledger,
                    sending.destination.leadgenius,
                    sending.limiter,
                    push_options(args, sending.destination),
                    _scope(args, session, sending.destination),
                    run_id=session.run_id,
                    signals=session.signals,
                    confirm=lambda plan: _confirm(args, session, plan, details),
                    notice=notice,
                    outage=sending.outage,
                    sender=sending.sender,
                )
        progress.in_doubt = session.ledger.counts.in_doubt()
        return _result(args, progress, kept, details)

    needs = ["leadgenius", "hubspot"] if args.gone else ["leadgenius"]
    return work(args, display, settings_of(args, needs, needs_ledger=True), body)


def _taken(progress: UndoCounters) -> str:
    return f"{progress.answered + progress.found:,} deletes taken"


def _check(args: argparse.Namespace) -> None:
    """Raise UsageError if it is not clear what to delete, or whether."""
    is_chosen = args.run_id is not None or args.gone or args.doubled or args.all
    if not (args.contacts or is_chosen):
        raise UsageError(
            "It was not said whose leads to delete.",
            "migrator undo CONTACT --dry-run, or with --run N, --gone, --doubled or --all",
        )
    if args.contacts and args.all:
        raise UsageError(
            "--all and contacts contradict each other.", "migrator undo with one of the two"
        )
    if not (args.dry_run or args.yes or can_ask()):
        raise UsageError(
            "There is no terminal to ask on whether to delete.",
            "migrator undo with --dry-run, to see what would be deleted; then with --yes",
        )
    if isinstance(args.rate, float) and args.rate < _LOWEST_RATE:
        raise UsageError(
            f"--rate {args.rate:g} is too low: a lead is deleted within a minute of being seen, "
            "which takes up to three requests.",
            f"migrator undo --rate {_LOWEST_RATE:g}, or more",
        )


def _scope(
    args: argparse.Namespace, session: CommandRun, destination: BoundDestination
) -> UndoScope:
    from migrator import connections
    from migrator.http import OutageBudget
    from migrator.undo import GoneContacts, UndoChoice, UndoScope

    source = None
    if args.run_id is not None and not session.ledger.runs.exists(args.run_id):
        raise UsageError(
            f"The ledger {session.ledger.path} has no run {args.run_id:,}.",
            "migrator show CONTACT, which numbers the runs of its sends",
        )
    if args.gone:
        pause = session.pausing("HubSpot", OutageBudget())
        hubspot = connections.open_hubspot(session.settings, pause, args.timeout)
        source = GoneContacts(hubspot, destination.portal_id)
    choice = UndoChoice(keys_of(session, args.contacts), args.run_id, args.gone)
    return UndoScope(choice, args.doubled, args.adopted, source)


def _confirm(
    args: argparse.Namespace, session: CommandRun, plan: UndoPlan, details: dict[str, Any]
) -> bool:
    """Show what would be done, and ask; the answer to a `--dry-run` is no."""
    from migrator.report.undo_plan import render

    for contact in plan.unsent:
        session.display.say(one_line(f"contact {contact} has no lead in LeadGenius"))
    if args.dry_run:
        details["to_delete"] = len(plan.due)
    if not (args.json or (args.quiet and args.yes)):
        with session.display.paused() as console:
            render(plan, console)
    if args.dry_run:
        return False
    if plan.due and not args.yes:
        with session.display.paused():
            deed = f"delete {count_noun(len(plan.due), 'lead')} in LeadGenius"
            confirm(deed, "Nothing was deleted", "migrator undo")
    return True


def _result(
    args: argparse.Namespace,
    progress: UndoCounters,
    kept: list[KeptLead],
    details: dict[str, Any],
) -> CommandResult:
    from migrator.report.undo_plan import as_json, kept_lines

    details["kept"] = as_json(kept)
    if args.dry_run:
        line = f"{count_noun(details['to_delete'], 'lead')} to delete · {len(kept):,} to keep"
        return CommandResult(line, progress.counters(), details=details)
    code = ExitCode.NEEDS_ATTENTION if kept else ExitCode.DONE
    summary = "\n".join([progress.line(), *kept_lines(kept)])
    return CommandResult(summary, progress.counters(), code, details)


COMMAND = Command(
    "undo",
    "delete the leads that this ledger created and that are as it left them",
    [
        "migrator undo 10251 --dry-run",
        "migrator undo --run 12",
        "migrator undo --gone --yes",
        "migrator undo --doubled",
    ],
    _add_options,
    undo,
    about="A lead that was edited in LeadGenius is kept, and named with the reason. What was "
    "deleted is held as undone; `migrator retry --reason undone` frees it to be sent again. It is "
    "safe to run again at any time.",
)
