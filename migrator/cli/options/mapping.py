"""Options of the command about the mapping."""

import argparse

from migrator.cli.arguments import Command, add_json, add_ledger


def _mapping(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--builtin", action="store_true", help="print the guide's mapping, whatever is in force"
    )
    which.add_argument(
        "--check",
        metavar="FILE",
        help="look for faults in a mapping file; with HUBSPOT_ACCESS_TOKEN also for properties "
        "that the portal lacks",
    )
    add_ledger(parser)
    add_json(parser)


MAPPING = Command(
    "mapping",
    "print the mapping in force, or check a file with another one",
    [
        "migrator mapping --builtin > mine.toml",
        "migrator mapping --check mine.toml",
        "migrator mapping --json | jq -r .text",
    ],
    _mapping,
)
