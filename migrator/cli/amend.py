"""`migrator amend`: take a corrected table back, show what changes, ask, and map again."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, add_json, add_ledger
from migrator.cli.session import (
    CommandResult,
    CommandRun,
    confirm,
    settings_of,
    tell_result,
    work,
)
from migrator.errors import ExitCode, NotReady, StoppedEarly
from migrator.signals import Signals
from migrator.text import count_noun, one_line

if TYPE_CHECKING:
    from migrator.amend import AmendPreview, Change
    from migrator.counters import StageCounters
    from migrator.ledger import Ledger
    from migrator.progress import Display
    from migrator.stage import StageResult

_MOST_LINES = 20


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", help="the file of `report --csv`, corrected in a spreadsheet"
    )
    parser.add_argument(
        "--yes", action="store_true", help="do not ask (required without a terminal)"
    )
    add_ledger(parser)
    add_json(parser)


def amend(args: argparse.Namespace, display: Display) -> int:
    """Import a corrected table, and map again the contacts that it changes."""
    from migrator.amend import plan, take_back
    from migrator.ledger import Ledger

    file, settings = Path(args.file), settings_of(args)
    command = f"migrator amend {shlex.quote(args.file)}"
    with Ledger.open_for_work(settings.ledger, creates=False) as ledger:
        table = take_back(ledger, file)
        portal_id = _portal_id(ledger)
        changes = plan(ledger, table, file)
        # Mapping that was killed is completed, even if the table changes nothing.
        is_mapped = not ledger.contacts.to_map(1)
        with ledger.amendments.rehearsal():
            _, becomes = _carry_out(ledger, changes, portal_id)
    if not changes and is_mapped:
        return _say_nothing_changed(args)
    if changes:
        _show(changes, becomes, display)
        if not args.yes:
            confirm(f"amend {count_noun(len(changes), 'contact')}", "Nothing was amended", command)

    def body(session: CommandRun) -> CommandResult:
        if plan(session.ledger, table, file) != changes:
            raise StoppedEarly("The ledger has changed since it was looked at.", command)
        portal_id = _portal_id(session.ledger)
        counters, after = _carry_out(session.ledger, changes, portal_id, session.signals)
        say_without_effect(counters, session.display)
        session.say_next()
        return _done(changes, counters, after)

    return work(args, display, settings, body)


def _portal_id(ledger: Ledger) -> str:
    ledger.erasure.ensure_not_erased()
    if (portal_id := ledger.runs.binding().portal_id) is None:
        raise NotReady(f"Nothing was staged into the ledger {ledger.path} yet.", "migrator stage")
    # Until then some stored contacts may lack properties that the active mapping reads.
    if not ledger.runs.checkpoint("extraction").complete:
        raise NotReady(
            "Not every page of HubSpot was read yet, so nothing can be mapped.", "migrator stage"
        )
    return portal_id


def _carry_out(
    ledger: Ledger,
    changes: Sequence[Change],
    portal_id: str,
    signals: Signals | None = None,
) -> tuple[StageResult, AmendPreview]:
    from migrator.amend import forecast
    from migrator.ledger import Amendment
    from migrator.stage import map_extracted

    ledger.amendments.write(
        [Amendment(one.hubspot_id, one.amended) for one in changes if one.fields]
    )
    ledger.amendments.decide(
        {
            one.hubspot_id: {name: vars(decision) for name, decision in one.decisions.items()}
            for one in changes
            if one.decisions
        }
    )
    check = (signals or Signals()).check
    counters = map_extracted(ledger, portal_id, check)
    return counters, forecast(ledger, changes)


def _show(changes: Sequence[Change], becomes: AmendPreview, display: Display) -> None:
    from migrator.amend import counts, line

    for change in changes[:_MOST_LINES]:
        display.say_unlogged(line(change, becomes.standings[change.hubspot_id]))
    if len(changes) > _MOST_LINES:
        display.say(f"and {len(changes) - _MOST_LINES:,} more")
    display.say(counts(becomes))


def _done(changes: Sequence[Change], staged: StageCounters, after: AmendPreview) -> CommandResult:
    from migrator.counters import AmendCounters

    decided = {one.hubspot_id for one in changes if one.decisions}
    held = [one for one in after.held if one.hubspot_id not in decided]
    counters = AmendCounters(
        amended=sum(bool(one.fields) for one in changes),
        mapped=staged.mapped,
        held=len(held),
        decided=sum(bool(one.decisions) for one in changes),
        freed=staged.freed,
        ineffective=staged.ineffective,
    )
    still = [{"contact": one.hubspot_id, "reason": one.held, "detail": one.detail} for one in held]
    return CommandResult(counters.line(), counters.counters(), details={"still_held": still})


def _say_nothing_changed(args: argparse.Namespace) -> int:
    from migrator.amend import AmendPreview
    from migrator.counters import StageCounters
    from migrator.streams import tell

    done = _done([], StageCounters(), AmendPreview({}))
    if args.json:
        tell_result("amend", ExitCode.DONE, {**done.counters, **done.details})
    else:
        tell(f"0 contacts amended: nothing in {one_line(args.file)} is other than in the ledger")
    return ExitCode.DONE


def say_without_effect(result: StageResult, display: Display) -> None:
    """Print the first amended contacts whose leads did not change."""
    if not result.ineffective:
        return
    ids = [one_line(one) for one in result.ineffective_examples]
    more = ", ..." if result.ineffective > len(ids) else ""
    display.say(
        f"amended without effect under the active mapping: {', '.join(ids)}{more}; "
        f"see: migrator show {ids[0]}"
    )


COMMAND = Command(
    "amend",
    "import the held contacts that were corrected or decided in a spreadsheet",
    ["migrator amend held.csv", "migrator amend held.csv --yes"],
    _add_options,
    amend,
)
