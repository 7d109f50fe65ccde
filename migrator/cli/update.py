"""`migrator update`: bring LeadGenius up to date with what HubSpot changed since it was sent."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, whole
from migrator.cli.sending import (
    Sending,
    add_sending,
    hold_sending,
    keys_of,
    noticing,
    push_options,
)
from migrator.cli.session import CommandResult, CommandRun, can_ask, confirm, settings_of, work
from migrator.errors import ExitCode, UsageError
from migrator.text import count_noun

if TYPE_CHECKING:
    from migrator.counters import UpdateCounters
    from migrator.progress import Display
    from migrator.update import UpdatePlan


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "contacts",
        metavar="CONTACT",
        nargs="*",
        help="HubSpot ids or e-mails; default: all that changed",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be written, and write nothing"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before anything is written")
    parser.add_argument(
        "--limit",
        metavar="N",
        type=whole(1, 1_000_000_000),
        help="update at most this many contacts",
    )
    parser.add_argument(
        "--prefer",
        choices=["ask", "hubspot", "leadgenius"],
        default="ask",
        help="whose value a field gets that was changed in HubSpot and in LeadGenius (default ask: "
        "such contacts are held as conflicts)",
    )
    add_sending(parser)


def update(args: argparse.Namespace, display: Display) -> int:
    """Write what HubSpot changed, where it was not changed in LeadGenius."""
    if not (args.dry_run or args.yes or can_ask()):
        raise UsageError(
            "There is no terminal to ask on whether to write.",
            "migrator update --dry-run, to see what would be written; then migrator update --yes",
        )
    shown: dict[str, object] = {}

    def body(session: CommandRun) -> CommandResult:
        with hold_sending(session, args, "update") as sending:
            sending.bind(session)
            progress = write_all(
                session, args, sending, lambda plan: _confirm(args, session, plan, shown)
            )
        is_left = progress.left_for_a_person and not args.dry_run
        code = ExitCode.NEEDS_ATTENTION if is_left else ExitCode.DONE
        return CommandResult(progress.line(), progress.counters(), code, details=shown)

    settings = settings_of(args, ["leadgenius"], needs_ledger=True)
    # These leave contacts to be updated, so they are not taken for an update of all later.
    recorded_as = "update CONTACT" if args.contacts else None
    if args.dry_run:
        recorded_as = "update --dry-run"
    return work(args, display, settings, body, recorded_as=recorded_as)


def write_all(
    session: CommandRun,
    args: argparse.Namespace,
    sending: Sending,
    confirm: Callable[[UpdatePlan], bool],
) -> UpdateCounters:
    """Write what HubSpot changed, once `confirm` has seen it; the ledger is bound to the client."""
    from migrator.counters import UpdateCounters
    from migrator.update import Preference, UpdateChoice
    from migrator.update import update as write

    with noticing(session, UpdateCounters(), UpdateCounters.line) as notice:
        progress = write(
            session.ledger,
            sending.destination.leadgenius,
            sending.limiter,
            push_options(args, sending.destination, limit=args.limit),
            UpdateChoice(keys_of(session, args.contacts), Preference(args.prefer)),
            run_id=session.run_id,
            signals=session.signals,
            confirm=confirm,
            notice=notice,
            outage=sending.outage,
            sender=sending.sender,
        )
    progress.in_doubt = session.ledger.counts.in_doubt()
    return progress


def _confirm(
    args: argparse.Namespace, session: CommandRun, plan: UpdatePlan, shown: dict[str, object]
) -> bool:
    """Show what would be done, and ask; the answer to a `--dry-run` is no."""
    from migrator.report.update_plan import as_json, render

    if args.json:
        shown["plan"] = as_json(plan)
    elif plan.rows and not (args.quiet and args.yes):
        with session.display.paused() as console:
            render(plan, console)
    number = len(plan.to_write)
    if args.limit is not None and args.limit < number:
        session.display.say(f"--limit {args.limit}: not all of these {number:,} leads are written")
        number = args.limit
    if args.dry_run:
        return False
    if number and not args.yes:
        with session.display.paused():
            deed = f"update {count_noun(number, 'lead')} in LeadGenius"
            confirm(deed, "Nothing was written", "migrator update")
    return True


COMMAND = Command(
    "update",
    "bring LeadGenius up to date with what HubSpot changed since it was sent",
    [
        "migrator update --dry-run",
        "migrator update --yes",
        "migrator update 10251 ada@example.com --prefer hubspot",
    ],
    _add_options,
    update,
    about="`migrator stage` finds what changed. A field is written only where LeadGenius still "
    "has what it was sent; if it was changed there, the contact is held as a conflict. It is "
    "safe to run again at any time.",
)
