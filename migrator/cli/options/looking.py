"""Options of the commands that only look."""

import argparse

from migrator.cli.options.common import Command, add_json, add_ledger, add_settle, add_timeout


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--watch",
        action="store_true",
        help="show how far the command at work is until it ends, then the report; "
        "Ctrl-C ends the looking only",
    )
    add_ledger(parser)
    add_json(parser)


def _audit(parser: argparse.ArgumentParser) -> None:
    add_timeout(parser)
    add_settle(parser)
    add_ledger(parser)


REPORT = Command(
    "report",
    "show where every contact stands, from the ledger alone",
    ["migrator report", "migrator report --watch", "migrator report --json | jq .states"],
    _report,
)
AUDIT = Command(
    "audit",
    "prove from the ledger and a fresh listing that the promise was kept, as JSON Lines",
    ["migrator audit > proof.jsonl", "migrator audit | jq 'select(.kind == \"fault\")'"],
    _audit,
)
