"""`migrator show`: the history of one contact, from the ledger alone."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, add_json, add_ledger
from migrator.cli.session import read_ledger, settings_of
from migrator.errors import ExitCode
from migrator.text import json_text

if TYPE_CHECKING:
    from migrator.progress import Display


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("contact", metavar="CONTACT", help="a HubSpot id or e-mail")
    add_ledger(parser)
    add_json(parser)


def show(args: argparse.Namespace, display: Display) -> int:
    """Show the history of one contact."""
    from migrator.report.contact import as_json, read
    from migrator.report.contact_page import render
    from migrator.streams import tell

    with read_ledger(settings_of(args).ledger) as ledger:
        stories = read(ledger, args.contact)
    if args.json:
        tell(json_text(as_json(stories), indent=2))
    else:
        render(stories)
    return ExitCode.DONE


COMMAND = Command(
    "show",
    "show the history of one contact, from the ledger alone",
    ["migrator show 10251", "migrator show ada@example.com --json"],
    _add_options,
    show,
)
