"""`migrator demo`: a whole migration on the built-in sandbox."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, add_portal
from migrator.errors import ExitCode

if TYPE_CHECKING:
    from migrator.progress import Display


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_portal(parser, contacts=400)


def demo(args: argparse.Namespace, display: Display) -> int:
    """Run a whole migration; BUG when the audit finds a fault."""
    from migrator.demo import demo as play

    return ExitCode.DONE if play(args.contacts, args.seed, sys.stdout) else ExitCode.BUG


COMMAND = Command(
    "demo",
    "watch a whole migration on the built-in sandbox, killed in the middle and resumed",
    ["migrator demo", "migrator demo --contacts 1000"],
    _add_options,
    demo,
    about="No account is needed, nothing leaves this machine, and it takes about half a minute.",
)
