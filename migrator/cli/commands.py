"""Which function carries out which command."""

import argparse
from collections.abc import Callable, Mapping

from migrator.cli.accounts import auth, clients
from migrator.cli.forgetting import forget
from migrator.cli.journey import push, retry, stage, verify
from migrator.cli.looking import audit, report
from migrator.cli.playing import demo, sandbox
from migrator.console import Talk

HANDLERS: Mapping[str, Callable[[argparse.Namespace, Talk], int]] = {
    "auth": auth,
    "clients": clients,
    "stage": stage,
    "push": push,
    "verify": verify,
    "report": report,
    "audit": audit,
    "retry": retry,
    "forget": forget,
    "sandbox": sandbox,
    "demo": demo,
}


def run(args: argparse.Namespace, talk: Talk) -> int:
    """
    Run the command that was parsed.

    Returns:
        The exit code.

    Raises:
        MigratorError: it failed in a way that has words.
    """
    return HANDLERS[args.command](args, talk)
