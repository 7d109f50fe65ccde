"""The layout of help: as wide as the terminal, 80 columns in a pipe, without colour."""

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from migrator.cli.arguments import Command
from migrator.errors import ExitCode

# Longer lines are hard to read on any terminal.
WIDEST = 100
WIDEST_IN_A_PIPE = 80

DESCRIPTION = "Migrates every HubSpot contact to LeadGenius, once, and can prove it."
STORY = (
    "Each contact is extracted, mapped, posted and verified, and every step is recorded in one "
    "SQLite file, the ledger. You can stop at any point: `migrator push --resume` checks "
    "LeadGenius before resending anything."
)
FIRST_TIME = "The first time: auth, clients, preflight, stage, plan, push, verify, report."
EXAMPLES = (
    "migrator demo",
    "migrator stage",
    "migrator push --client-id historic-contacts --limit 5",
    "migrator verify",
    "migrator report",
)
ENVIRONMENT: Mapping[str, str] = {
    "HUBSPOT_ACCESS_TOKEN": "a private app's token or a Service Key",
    "HUBSPOT_BASE_URL": "default https://api.hubapi.com",
    "HUBSPOT_API_VERSION": "default v3; or a date, such as 2026-03",
    "HUBSPOT_PORTAL_ID": "only for tokens that may not read the account",
    "LEADGENIUS_EMAIL": "with LEADGENIUS_PASSWORD: the login",
    "LEADGENIUS_PASSWORD": "with LEADGENIUS_EMAIL: the login",
    "LEADGENIUS_BASE_URL": "default https://last.leadgenius.app, without /api",
    "LEADGENIUS_CLIENT_ID": "the client of the leads; takes precedence over `clients --use`",
    "LEADGENIUS_AUTH_FILE": "default ~/.leadgenius_auth.json",
    "LGP_API_KEY": "an API key; takes precedence over a login",
    "LGP_USER_ID": "whose API key it is; newer keys do not need it",
    "MIGRATOR_LEDGER": "the ledger; default migrator.db",
    "MIGRATOR_FENCE": "postgresql://…: a database that keeps other machines from sending",
    "XDG_STATE_HOME": "the folder of migrator's state; default ~/.local/state (not from .env)",
    "NO_COLOR": "if it is set: no colours (not from .env)",
}


class Layout(argparse.HelpFormatter):
    """Wraps prose, and leaves examples as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=width())

    def _split_lines(self, text: str, width: int) -> list[str]:
        return _wrapped(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in filled(text, width))


def width() -> int:
    """The width of help, in columns."""
    columns = shutil.get_terminal_size().columns
    return max(20, min(columns, WIDEST if sys.stdout.isatty() else WIDEST_IN_A_PIPE) - 1)


def filled(text: str, width: int) -> Iterator[str]:
    """The lines wrapped to a width, except those that begin with a blank."""
    for line in text.split("\n"):
        yield from [line] if line.startswith(" ") or not line else _wrapped(line, width)


def _wrapped(text: str, width: int) -> list[str]:
    # Not within options and commands, which are typed as they stand.
    return textwrap.wrap(text, width, break_on_hyphens=False)


def overview(commands: Sequence[Command]) -> str:
    """The text of `migrator --help`."""
    codes = {str(int(code)): code.meaning for code in ExitCode}
    parts = [
        ["usage: migrator COMMAND [options]"],
        filled(DESCRIPTION, width()),
        filled(STORY, width()),
        filled(FIRST_TIME, width()),
        _table("commands:", {one.name: one.summary for one in commands}),
        _table(
            "options:",
            {
                "COMMAND --help": "what a command does, its options, and examples",
                "-h, --help": "show this help and exit",
                "--version": "show the versions and exit",
            },
        ),
        ["examples:", *(f"  {example}" for example in EXAMPLES)],
        _table("environment (also from a file .env in the working directory):", ENVIRONMENT),
        _table("exit codes:", codes),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _table(title: str, rows: Mapping[str, str]) -> Iterable[str]:
    yield from filled(title, width())
    longest = max(map(len, rows))
    for name, meaning in rows.items():
        # Where there is too little room beside the names, each meaning goes below its name.
        is_beside = width() - longest >= 24
        first = f"  {name:{longest}}  " if is_beside else f"  {name}\n      "
        indent = " " * (longest + 4) if is_beside else "      "
        lines = _wrapped(meaning, max(width() - len(indent), 11))
        yield first + f"\n{indent}".join(lines)
