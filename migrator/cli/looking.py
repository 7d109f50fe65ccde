"""Commands that only look: nothing is sent, and the ledger stays as it is."""

import argparse

from migrator.cli.work import settings_of
from migrator.console import Talk, tell
from migrator.errors import ExitCode, LedgerError
from migrator.ledger import Ledger
from migrator.printable import json_text


def report(args: argparse.Namespace, talk: Talk) -> int:
    """Show where every contact stands; raises LedgerError when the sums do not close."""
    from migrator.report import as_json, gather, render

    with Ledger.for_reading(settings_of(args).ledger) as ledger:
        report = gather(ledger)
    if args.json:
        tell(json_text(as_json(report), indent=2))
    else:
        render(report)
    if not report.closes:
        raise LedgerError(
            "The sums do not close: the ledger's contacts are not those that HubSpot gave.",
            "keep the file as it is, and report this",
        )
    return ExitCode.DONE
