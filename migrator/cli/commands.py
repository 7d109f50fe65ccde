"""Which function carries out which command; the modules of the others are never opened."""

import argparse
from types import ModuleType

from migrator.progress import Display


def run(args: argparse.Namespace, display: Display) -> int:
    """
    Run the command that was parsed.

    Returns:
        The exit code.

    Raises:
        MigratorError: it failed in a way that has words.
    """
    code: int = getattr(_group(args.command), args.command)(args, display)
    return code


def _group(command: str) -> ModuleType:
    """The module that has a function of the command's name."""
    match command:
        case "auth":
            from migrator.cli import auth

            return auth
        case "clients":
            from migrator.cli import clients

            return clients
        case "preflight":
            from migrator.cli import preflight

            return preflight
        case "stage" | "push" | "verify" | "retry":
            from migrator.cli import journey

            return journey
        case "report" | "audit" | "show":
            from migrator.cli import looking

            return looking
        case "mapping":
            from migrator.cli import mapping

            return mapping
        case "amend":
            from migrator.cli import amend

            return amend
        case "plan":
            from migrator.cli import plan

            return plan
        case "forget":
            from migrator.cli import forget

            return forget
        case "completion":
            from migrator.cli import completion

            return completion
        case _:
            from migrator.cli import playing

            return playing
