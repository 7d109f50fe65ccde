"""`migrator verify`: compare every posted contact with what LeadGenius lists."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from migrator.cli.arguments import (
    Command,
    add_client,
    add_die_with_parent,
    add_json_lines,
    add_ledger,
    add_retry_for,
    add_settle,
    add_timeout,
)
from migrator.cli.session import (
    CommandResult,
    CommandRun,
    choose_destination,
    settings_of,
    work,
)
from migrator.cli.stage import odd_rows
from migrator.errors import ExitCode
from migrator.text import count_noun, one_line

if TYPE_CHECKING:
    from migrator.connections import BoundDestination
    from migrator.ledger import UnclaimedLead
    from migrator.progress import Display
    from migrator.verify import VerifyResult

NAMED_ON_THE_SCREEN = 20


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_timeout(parser)
    add_settle(parser)
    add_retry_for(parser)
    add_die_with_parent(parser)
    add_client(parser)
    add_ledger(parser)
    add_json_lines(parser)


def verify(args: argparse.Namespace, display: Display) -> int:
    """Compare every posted contact with what LeadGenius lists."""
    settings = settings_of(args, ["leadgenius"], needs_ledger=True)
    return work(args, display, settings, verifying(args))


def verifying(args: argparse.Namespace) -> Callable[[CommandRun], CommandResult]:
    """The comparison itself, on an open ledger."""
    from migrator.connections import bind_destination
    from migrator.http import OutageBudget

    def body(session: CommandRun) -> CommandResult:
        destination = choose_destination(session, args, OutageBudget(args.retry_for * 60))
        bind_destination(session.ledger, session.settings, destination)
        return compare_all(session, args, destination)

    return body


def compare_all(
    session: CommandRun, args: argparse.Namespace, destination: BoundDestination
) -> CommandResult:
    """Compare the contacts of the ledger, which is bound to the client."""
    from migrator.comparison import LeadStorage
    from migrator.verify import verify as compare

    result = compare(
        session.ledger,
        destination.leadgenius,
        client_id=destination.client_id,
        portal_id=destination.portal_id,
        settle_seconds=args.settle,
        pause=session.signals.pause,
        notice=session.watch,
        note=session.note,
        storage=LeadStorage.of(destination.findings),
    )
    code = ExitCode.NEEDS_ATTENTION if result.left_for_a_person else ExitCode.DONE
    details = {
        "doubled_contacts": [vars(one) for one in result.doubled_contacts],
        "unclaimed_leads": [vars(one) for one in result.unclaimed_leads],
        "blocked_leads": [vars(one) for one in result.blocked_leads],
        "unknown_leads": [vars(one) for one in result.unknown_leads],
        "not_compared": list(result.not_compared),
        "not_kept": list(result.not_kept),
        "odd_rows": list(result.odd_examples),
    }
    return CommandResult("\n".join(_compared(result)), result.counters(), code, details)


def _compared(result: VerifyResult) -> Iterator[str]:
    """The lines of the result: the counts, then the contacts and leads behind them."""
    yield result.line()
    if result.in_doubt:
        yield "the contacts in doubt are settled by: migrator push --resume"
    yield from _named(
        f"contact {one.hubspot_id} has several leads: {one.lead_ids}; keep {one.keep}"
        for one in result.doubled_contacts
    )
    yield from _named(
        f"lead {one.lead_id} is contact {one.hubspot_id}'s, which is {one.held or one.state} here; "
        "the next push takes it over"
        for one in result.unclaimed_leads
    )
    yield from _named(map(_blocked, result.blocked_leads))
    yield from _named(
        f"lead {one.lead_id} names contact {one.hubspot_id}, which is not in this ledger"
        for one in result.unknown_leads
    )
    if result.odd:
        yield odd_rows(result.odd, result.odd_examples)
    if result.unreadable and result.missing:
        yield f"{count_noun(result.unreadable, 'row')} of them may be leads that are missing"
    if result.not_compared:
        yield f"not compared, because no lead is listed with it: {', '.join(result.not_compared)}"
    if result.not_kept:
        yield f"not compared, because LeadGenius does not keep it: {', '.join(result.not_kept)}"


def _blocked(one: UnclaimedLead) -> str:
    """Why a push cannot take over a lead, and what to do about it."""
    if one.is_forgotten:
        lead = f"lead {one.lead_id} is contact {one.hubspot_id}'s"
        return f"{lead}, which was forgotten; delete it in LeadGenius"
    whose = f"contact {one.hubspot_id}'s, which is {one.held or one.state} here"
    if not one.is_certain:
        return (
            f"lead {one.lead_id} may be {whose}: it has its e-mail, and the listing shows no "
            "notes; check in LeadGenius whether they name the contact"
        )
    first = "correct its e-mail in HubSpot, then " if one.held is not None else ""
    return f"lead {one.lead_id} is {whose}; {first}migrator stage, and the next push takes it over"


def _named(lines: Iterable[str]) -> Iterator[str]:
    """The first lines, made safe to print: the services choose the ids in them."""
    shown = list(islice(lines, NAMED_ON_THE_SCREEN + 1))
    yield from map(one_line, shown[:NAMED_ON_THE_SCREEN])
    if len(shown) > NAMED_ON_THE_SCREEN:
        yield "and more like these: migrator verify --json"


COMMAND = Command(
    "verify",
    "compare every posted contact with what LeadGenius lists",
    ["migrator verify"],
    _add_options,
    verify,
    about="It lists the client completely, and compares every field that was sent and that the "
    "listing shows. What is missing, different or doubled, and a lead of a contact that has none "
    "in the ledger, needs your attention: exit code 1. Leads edited since then are "
    "only counted.",
)
