"""Which function carries out which command; the modules of the others are never opened."""

import argparse
from types import ModuleType

from migrator.progress import Talk


def run(args: argparse.Namespace, talk: Talk) -> int:
    """
    Run the command that was parsed.

    Returns:
        The exit code.

    Raises:
        MigratorError: it failed in a way that has words.
    """
    code: int = getattr(_group(args.command), args.command)(args, talk)
    return code


def _group(command: str) -> ModuleType:
    """The module that has a function of the command's name."""
    match command:
        case "auth":
            from migrator.cli import accounts

            return accounts
        case "clients":
            from migrator.cli import clients

            return clients
        case "preflight":
            from migrator.cli import checking

            return checking
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
            from migrator.cli import amending

            return amending
        case "plan":
            from migrator.cli import planning

            return planning
        case "forget":
            from migrator.cli import forgetting

            return forgetting
        case "completion":
            from migrator.cli import completing

            return completing
        case _:
            from migrator.cli import playing

            return playing
