"""`migrator probe`: measure what LeadGenius really does, in a client of the probe's own."""

from __future__ import annotations

import argparse
import math
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, add_json_lines, add_ledger, add_timeout, decimal
from migrator.cli.session import can_ask, confirm, read_ledger, result_of, settings_of, tell_result
from migrator.errors import ExitCode, LedgerError, UsageError
from migrator.text import count_noun

if TYPE_CHECKING:
    from migrator.config import Settings
    from migrator.findings import Findings, ProbeRecord
    from migrator.ledger import Ledger
    from migrator.progress import Display


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--yes", action="store_true", help="do not ask (required without a terminal)"
    )
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=decimal(1, 600),
        default=60.0,
        help="how long a request that was given up may take to land (default 60)",
    )
    add_timeout(parser)
    add_ledger(parser)
    add_json_lines(parser)


def probe(args: argparse.Namespace, display: Display) -> int:
    """Measure what LeadGenius does; NEEDS_ATTENTION when something of it could not be removed."""
    from migrator import connections
    from migrator.findings import ProbeRecord
    from migrator.probe import EXPERIMENTS, Pauses, ProbeOptions, since_last
    from migrator.probe import probe as measure
    from migrator.probe_records import newest_probe
    from migrator.progress import Snapshot
    from migrator.signals import Signals

    settings = settings_of(args, ["leadgenius"])
    _ask(args, settings, display)
    next_step = "migrator probe, which removes what this one made"
    signals = Signals(next_step, result=result_of(args))
    signals.listen()
    pauses = Pauses(signals)
    leadgenius, tokens = connections.open_leadgenius(settings, pauses.pause, args.timeout)

    def notice(requests: int, experiments: int) -> None:
        counters = {"requests": requests, "experiments": experiments}
        display.show(Snapshot("probe", counters, len(EXPERIMENTS)))

    url, folder = settings.leadgenius_url, settings.state_folder
    with _ledger(settings) as ledger:
        before = newest_probe(folder, url, ledger)
    with display:
        options = ProbeOptions(
            folder,
            url,
            args.wait,
            lambda seconds: connections.open_hasty(settings, tokens, seconds),
            display.say,
            notice,
        )
        findings = measure(leadgenius, pauses, options)
    _keep(ProbeRecord(url, round(time.time() * 1000), findings), settings, display)
    changes = [] if before is None else since_last(before, findings)
    code = ExitCode.NEEDS_ATTENTION if findings.left_behind else ExitCode.DONE
    if args.json:
        tell_result("probe", code, {**findings.as_json(), "changes": changes})
    else:
        _print(findings)
    for change in changes:
        display.say(f"{change[0].upper()}{change[1:]}.")
    if findings.left_behind:
        display.error(
            f"Left behind in LeadGenius: {', '.join(findings.left_behind)}.",
            "migrator probe again later, which removes them; or delete them in LeadGenius",
        )
    return code


def _ledger(settings: Settings) -> AbstractContextManager[Ledger | None]:
    """The ledger, if there is one, to read."""
    return read_ledger(settings.ledger) if settings.ledger.exists() else nullcontext()


def _keep(record: ProbeRecord, settings: Settings, display: Display) -> None:
    """Keep what was found in the ledger; in the state folder if that is absent or at work."""
    from migrator.ledger import Ledger
    from migrator.probe_records import keep_probe

    if settings.ledger.exists():
        try:
            with Ledger.open_for_work(settings.ledger) as ledger:
                keep_probe(settings.state_folder, record, ledger)
            return
        except LedgerError as error:
            display.say(f"Kept for this user, and not in the ledger: {error.message}")
    keep_probe(settings.state_folder, record, None)


def _ask(args: argparse.Namespace, settings: Settings, display: Display) -> None:
    """Say what the probe does, and ask."""
    from migrator.probe import PER_MINUTE, REQUESTS

    if not (args.yes or can_ask()):
        raise UsageError(
            "There is no terminal to ask on whether to probe LeadGenius.", "migrator probe --yes"
        )
    minutes = count_noun(math.ceil(max(REQUESTS / PER_MINUTE, args.wait / 60)), "minute")
    display.say(
        f"A probe creates a client of its own at {settings.leadgenius_url}, sends some thirty "
        "leads of invented people to it, and removes all of that afterwards: about "
        f"{count_noun(REQUESTS, 'request')}, which takes about {minutes} at {PER_MINUTE} a minute."
    )
    if not args.yes:
        confirm("probe LeadGenius", "Nothing was sent", "migrator probe")


def _print(findings: Findings) -> None:
    from migrator.report.findings import render

    render(findings)


COMMAND = Command(
    "probe",
    "measure what LeadGenius really does, in a client of its own that it removes again",
    ["migrator probe", "migrator probe --yes --json | tail -1 | jq .settle_s"],
    _add_options,
    probe,
    about="What it finds is kept in the ledger if there is one, else for this user, and is used by "
    "the other commands. It changes nothing in any other client. If it is interrupted, it still "
    "removes what it made; if it is killed, the next probe does.",
)
