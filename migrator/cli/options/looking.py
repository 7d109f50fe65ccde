"""Options of the commands that only look."""

import argparse

from migrator.cli.options.common import Command, add_json, add_ledger, add_settle, add_timeout


def _report(parser: argparse.ArgumentParser) -> None:
    add_ledger(parser)
    add_json(parser)


def _audit(parser: argparse.ArgumentParser) -> None:
    add_timeout(parser)
    add_settle(parser)
    add_ledger(parser)


REPORT = Command(
    "report",
    "show where every contact stands, from the ledger alone",
    ["migrator report", "migrator report --json | jq .states"],
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
