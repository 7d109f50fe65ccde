"""Options of the commands that only look."""

import argparse

from migrator.cli.arguments import (
    Command,
    add_client,
    add_json,
    add_ledger,
    add_settle,
    add_timeout,
    per_minute,
    whole,
)
from migrator.rate_limit import SAFE_PER_MINUTE


def _report(parser: argparse.ArgumentParser) -> None:
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--watch",
        action="store_true",
        help="show how far the command at work is until it ends, then the report; "
        "Ctrl-C ends the looking only",
    )
    shape.add_argument(
        "--html",
        metavar="FILE",
        help="write all of it, with the people behind the numbers, as one page for a browser",
    )
    shape.add_argument(
        "--csv",
        metavar="FILE",
        help="write the held contacts there instead, to be corrected in a spreadsheet",
    )
    add_ledger(parser)
    add_json(parser)


def _audit(parser: argparse.ArgumentParser) -> None:
    add_timeout(parser)
    add_settle(parser)
    add_ledger(parser)


def _plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "contact",
        metavar="CONTACT",
        nargs="?",
        help="a HubSpot id or e-mail: only the payload of this one, or why it is not sent",
    )
    parser.add_argument(
        "--show", metavar="N", type=whole(1, 1_000_000), default=0, help="add the first N payloads"
    )
    parser.add_argument(
        "--rate",
        metavar="N",
        type=per_minute,
        help="leads a minute to reckon with (default: what an earlier push found that LeadGenius "
        f"allows, else {SAFE_PER_MINUTE:g})",
    )
    parser.add_argument(
        "--offline", action="store_true", help="do not look at what LeadGenius has already"
    )
    add_timeout(parser)
    add_client(parser)
    add_ledger(parser)
    add_json(parser)


def _show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("contact", metavar="CONTACT", help="a HubSpot id or e-mail")
    add_ledger(parser)
    add_json(parser)


REPORT = Command(
    "report",
    "show where every contact stands, from the ledger alone",
    [
        "migrator report",
        "migrator report --watch",
        "migrator report --json | jq .states",
        "migrator report --html report.html",
        "migrator report --csv held.csv",
    ],
    _report,
    about="It needs no network and changes nothing, so it can be used while a push is at work.",
)
AUDIT = Command(
    "audit",
    "prove from the ledger and a fresh listing that the promise was kept, as JSON Lines",
    ["migrator audit > proof.jsonl", "migrator audit | jq 'select(.kind == \"fault\")'"],
    _audit,
    about="Each send and each contact is one line of JSON, with its lead or its reason; the last "
    "one is the verdict. Exit code 1 = the promise does not hold.",
)
PLAN = Command(
    "plan",
    "show what a push would do, without a write",
    ["migrator plan", "migrator plan --offline --show 3", "migrator plan ada@example.com"],
    _plan,
)
SHOW = Command(
    "show",
    "tell the whole story of one contact, from the ledger alone",
    ["migrator show 10251", "migrator show ada@example.com --json"],
    _show,
)
