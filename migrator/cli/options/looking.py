"""Options of the commands that only look."""

import argparse

from migrator.cli.options.common import Command, add_json, add_ledger, add_settle, add_timeout


def _report(parser: argparse.ArgumentParser) -> None:
    add_ledger(parser)
    shape = parser.add_mutually_exclusive_group()
    add_json(shape)
    shape.add_argument(
        "--html",
        metavar="FILE",
        help="write all of it, with the people behind the numbers, as one page for a browser",
    )


def _audit(parser: argparse.ArgumentParser) -> None:
    add_timeout(parser)
    add_settle(parser)
    add_ledger(parser)


REPORT = Command(
    "report",
    "show where every contact stands, from the ledger alone",
    [
        "migrator report",
        "migrator report --json | jq .states",
        "migrator report --html report.html",
    ],
    _report,
)
AUDIT = Command(
    "audit",
    "prove from the ledger and a fresh listing that the promise was kept, as JSON Lines",
    ["migrator audit > proof.jsonl", "migrator audit | jq 'select(.kind == \"fault\")'"],
    _audit,
)
