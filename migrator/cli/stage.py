"""`migrator stage`: extract all contacts from HubSpot into the ledger and map them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from migrator.cli.amend import without_effect
from migrator.cli.arguments import Command, add_json_lines, add_ledger, add_retry_for, add_timeout
from migrator.cli.mapping import read_rules, refuse_unknown_properties
from migrator.cli.session import CommandResult, CommandRun, settings_of, work
from migrator.errors import ExitCode
from migrator.rate_limit import OutageBudget
from migrator.text import count_noun

if TYPE_CHECKING:
    from migrator.progress import Display
    from migrator.stage import StageCounters


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mapping",
        metavar="FILE",
        help="activate this mapping: the ledger remembers it, and what is not posted is mapped "
        "again (default: the active one; `migrator mapping` prints it)",
    )
    add_timeout(parser)
    add_retry_for(parser)
    add_ledger(parser)
    add_json_lines(parser)


def stage(args: argparse.Namespace, display: Display) -> int:
    """Extract all contacts from HubSpot and map them."""
    from migrator import connections
    from migrator.stage import stage as extract

    rules = None if args.mapping is None else read_rules(args.mapping, display)

    def body(session: CommandRun) -> CommandResult:
        outage = OutageBudget(args.retry_for * 60)
        hubspot = connections.open_hubspot(
            session.settings,
            session.pausing("HubSpot", outage),
            args.timeout,
            outage=outage,
        )
        portal_id = connections.bind_source(session.ledger, hubspot)
        if rules is not None:
            refuse_unknown_properties(args.mapping, rules, hubspot, display.say)
        counters = extract(
            session.ledger,
            hubspot,
            portal_id=portal_id,
            rules=rules,
            check=session.signals.check,
            notice=session.watch,
            note=session.note,
        )
        figures = session.ledger.counts
        held = sum(one.contacts for one in figures.sums() if one.held)
        withdrawn = f"{counters.withdrawn:,} to be mapped anew · " if counters.withdrawn else ""
        return CommandResult(
            f"{withdrawn}{counters.given:,} contacts read · {counters.new:,} new · "
            f"{counters.changed:,} changed · {figures.to_send():,} to be sent · {held:,} held"
            f"{without_effect(counters, session.display)}"
            f"{odd_rows(counters.odd, counters.odd_examples)}{_sweep_words(counters)}",
            counters.numbers(),
            ExitCode.DONE if _is_whole(counters) else ExitCode.STOPPED_EARLY,
            _sweep_details(counters),
        )

    return work(args, display, settings_of(args, ["hubspot"]), body, creates=True)


_INCOMPLETE = "migrator stage again later: the sweep then begins anew"


def _is_whole(counters: StageCounters) -> bool:
    return counters.completeness is None or counters.completeness.is_whole


def _sweep_words(counters: StageCounters) -> str:
    sweep = counters.completeness
    words = "" if sweep is None else sweep.words()
    if sweep is not None and not sweep.is_whole:
        words = f"{sweep.why_not_whole()}: the list is not whole. Next: {_INCOMPLETE}"
    return f"\n{words}" if words else ""


def _sweep_details(counters: StageCounters) -> dict[str, Any]:
    details: dict[str, Any] = {"odd_rows": counters.odd_examples}
    if (sweep := counters.completeness) is not None:
        details |= {
            "met": sweep.met,
            "counted": sweep.counted,
            "not_counted": sweep.why_not or None,
        }
    if not _is_whole(counters):
        message = _sweep_words(counters).strip().partition(" Next: ")[0]
        details |= {"message": message, "next": _INCOMPLETE}
    return details


def odd_rows(odd: int, examples: Sequence[str]) -> str:
    """A line about rows without a usable id, with the first of them; "" if there are none."""
    if not odd:
        return ""
    more = ", …" if odd > len(examples) else ""
    return f"\n{count_noun(odd, 'row')} without a usable id: {', '.join(examples)}{more}"


COMMAND = Command(
    "stage",
    "extract all contacts from HubSpot into the ledger and map them to leads",
    ["migrator stage", "migrator stage --mapping mine.toml", "migrator stage --ledger acme.db"],
    _add_options,
    stage,
    about="It only reads from HubSpot, sends nothing, and can be repeated at any time: it "
    "adds what is new or changed, and never touches what was posted.",
)
