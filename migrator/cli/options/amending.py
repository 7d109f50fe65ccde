"""Options of the command that takes corrections back."""

import argparse

from migrator.cli.arguments import Command, add_json, add_ledger


def _amend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", help="the file of `report --csv`, corrected in a spreadsheet"
    )
    parser.add_argument(
        "--yes", action="store_true", help="do not ask; wanted where there is no terminal"
    )
    add_ledger(parser)
    add_json(parser)


AMEND = Command(
    "amend",
    "take back the held contacts that were corrected in a spreadsheet, and map them again",
    ["migrator amend held.csv", "migrator amend held.csv --yes"],
    _amend,
)
