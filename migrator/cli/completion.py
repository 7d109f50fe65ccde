"""What a shell needs to complete our commands and options. Owns shtab."""

import argparse

import shtab

from migrator.cli.parser import build_parser, subparsers
from migrator.errors import ExitCode
from migrator.progress import Display, tell

# What a value is called in the help, and how a shell completes it.
_FILES = {"PATH": shtab.FILE, "FILE": shtab.FILE, "FOLDER": shtab.DIRECTORY}


def completion(args: argparse.Namespace, display: Display) -> int:
    """Print the script for a shell."""
    parser = build_parser()
    for command in subparsers(parser).values():
        for action in command._actions:
            if action.metavar in _FILES:
                action.complete = _FILES[str(action.metavar)]  # type: ignore[attr-defined]
    tell(shtab.complete(parser, args.shell))
    return ExitCode.DONE
