"""`migrator stage`: extract all contacts from HubSpot into the ledger and map them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from migrator.cli.amend import say_without_effect
from migrator.cli.arguments import (
    Command,
    add_die_with_parent,
    add_json_lines,
    add_ledger,
    add_retry_for,
    add_timeout,
)
from migrator.cli.mapping import read_rules, refuse_unknown_properties
from migrator.cli.session import CommandResult, CommandRun, settings_of, work
from migrator.errors import ExitCode
from migrator.text import count_noun

if TYPE_CHECKING:
    from migrator.hubspot import HubSpot
    from migrator.mapping import Rules
    from migrator.progress import Display
    from migrator.stage import StageResult


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_mapping(parser)
    add_timeout(parser)
    add_retry_for(parser)
    add_die_with_parent(parser)
    add_ledger(parser)
    add_json_lines(parser)


def add_mapping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mapping",
        metavar="FILE",
        help="activate this mapping: the ledger remembers it, and what is not posted is mapped "
        "again (default: the active one; `migrator mapping` prints it)",
    )


def stage(args: argparse.Namespace, display: Display) -> int:
    """Extract all contacts from HubSpot and map them."""
    rules = None if args.mapping is None else read_rules(args.mapping, display)

    def body(session: CommandRun) -> CommandResult:
        return extract_all(session, args, rules, *open_source(session, args))

    return work(args, display, settings_of(args, ["hubspot"]), body, creates=True)


def open_source(session: CommandRun, args: argparse.Namespace) -> tuple[HubSpot, str]:
    """HubSpot, and the portal's id, to which the ledger is bound."""
    from migrator import connections
    from migrator.http import OutageBudget

    outage = OutageBudget(args.retry_for * 60)
    pause = session.pausing("HubSpot", outage)
    hubspot = connections.open_hubspot(session.settings, pause, args.timeout, outage=outage)
    return hubspot, connections.bind_source(session.ledger, hubspot)


def extract_all(
    session: CommandRun,
    args: argparse.Namespace,
    rules: Rules | None,
    hubspot: HubSpot,
    portal_id: str,
) -> CommandResult:
    """
    Extract all contacts of the portal, to which the ledger is bound, and map them.

    Args:
        rules: The mapping to activate; `None` = the active one.

    Returns:
        Its exit code is that of a stop only if contacts seem to be missing from HubSpot's list;
        any other stop is raised.
    """
    from migrator.stage import stage as extract

    if rules is not None:
        refuse_unknown_properties(args.mapping, rules, hubspot, session.display.say)
    result = extract(
        session.ledger,
        hubspot,
        portal_id=portal_id,
        rules=rules,
        check=session.signals.check,
        notice=session.watch,
        note=session.note,
    )
    say_without_effect(result, session.display)
    counts = session.ledger.counts
    held = sum(one.contacts for one in counts.sums() if one.held)
    lines = [
        result.line(),
        f"in the ledger now: {counts.to_send():,} ready to send · {held:,} held",
        odd_rows(result.odd, result.odd_examples),
        _scan_words(result),
        _unread_words(result),
    ]
    code = ExitCode.DONE if _is_whole(result) else ExitCode.STOPPED_EARLY
    summary = "\n".join(filter(None, lines))
    return CommandResult(summary, result.counters(), code, _scan_details(result))


_INCOMPLETE = "migrator stage again later: it then begins a new scan"


def _is_whole(result: StageResult) -> bool:
    return result.completeness is None or result.completeness.is_whole


def _scan_words(result: StageResult) -> str:
    """How the scan compares with HubSpot's own count; "" = equal."""
    scan = result.completeness
    if scan is None or scan.is_whole:
        return "" if scan is None else scan.words()
    return f"{scan.why_not_whole()}: the list is incomplete. Next: {_INCOMPLETE}"


def _unread_words(result: StageResult) -> str:
    """A line about contacts of which it is unknown whether HubSpot has them; "" = none."""
    if not (unread := result.unread).contacts:
        return ""
    unlisted = f"{count_noun(unread.contacts, 'contact')} that HubSpot did not list"
    return f"{unlisted} could not be read, and stay as they are: {unread.why}"


def _scan_details(result: StageResult) -> dict[str, Any]:
    details: dict[str, Any] = {
        "odd_rows": result.odd_examples,
        "not_read": result.unread.contacts,
    }
    if (scan := result.completeness) is not None:
        details |= {"met": scan.met, "counted": scan.counted, "not_counted": scan.why_not or None}
    if not _is_whole(result):
        message = _scan_words(result).partition(" Next: ")[0]
        details |= {"message": message, "next": _INCOMPLETE}
    return details


def odd_rows(odd: int, examples: Sequence[str]) -> str:
    """A line about rows without a usable id, with the first of them; "" if there are none."""
    if not odd:
        return ""
    more = ", …" if odd > len(examples) else ""
    return f"{count_noun(odd, 'row')} without a usable id: {', '.join(examples)}{more}"


COMMAND = Command(
    "stage",
    "extract all contacts from HubSpot into the ledger and map them to leads",
    ["migrator stage", "migrator stage --mapping mine.toml", "migrator stage --ledger acme.db"],
    _add_options,
    stage,
    about="It only reads from HubSpot, sends nothing, and can be repeated at any time: it "
    "adds what is new or changed, and names what was changed after it was posted and what is gone.",
)
