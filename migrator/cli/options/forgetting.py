"""Options of the command that takes the people out."""

import argparse

from migrator.cli.arguments import Command, add_ledger


def _forget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--yes", action="store_true", help="do not ask; wanted where there is no terminal"
    )
    add_ledger(parser)


FORGET = Command(
    "forget",
    "remove the people from a finished ledger for good; ids, hashes and states stay",
    ["migrator forget", "migrator forget --ledger acme.db --yes"],
    _forget,
    about="Only what can be proved without them is kept: nothing can be staged, sent or verified "
    "with the ledger after that.",
)
