"""Every command, as argparse knows it."""

import argparse
import functools
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from migrator.cli import (
    amend,
    audit,
    auth,
    clients,
    completion,
    demo,
    forget,
    mapping,
    plan,
    preflight,
    push,
    report,
    retry,
    sandbox,
    show,
    stage,
    usage_errors,
    verify,
)
from migrator.cli.arguments import GROUPS, Command, add_common
from migrator.cli.help import Layout, overview

# In the order of a journey.
COMMANDS: Sequence[Command] = (
    demo.COMMAND,
    auth.COMMAND,
    clients.COMMAND,
    preflight.COMMAND,
    mapping.COMMAND,
    stage.COMMAND,
    plan.COMMAND,
    push.COMMAND,
    verify.COMMAND,
    report.COMMAND,
    show.COMMAND,
    audit.COMMAND,
    retry.COMMAND,
    amend.COMMAND,
    forget.COMMAND,
    sandbox.COMMAND,
    completion.COMMAND,
)


class Parser(argparse.ArgumentParser):
    """
    Abbreviations off: a prefix that is unique today may mean something else tomorrow.

    Its layout and its words are our own, so that they are the same in every Python.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False, add_help=False, formatter_class=Layout)
        self.color = False  # what newer Pythons would do by themselves
        for title in GROUPS[1:]:
            self.add_argument_group(title)

    def print_help(self, file: Any = None) -> None:
        """Print it so that a failure is heard; argparse would keep it to itself."""
        (file or sys.stdout).write(self.format_help())

    def error(self, message: str) -> NoReturn:
        """Say it as every other failure is said."""
        raise usage_errors.usage_error(self, message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise usage_errors.invalid_choice(self, action, str(value))


class _Overview(Parser):
    """The whole program: its help is a page of its own."""

    def format_help(self) -> str:
        return overview(COMMANDS)


class _Version(argparse.Action):
    """Says what is installed, and ends; asked for only then, because it opens files."""

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        from migrator.cli.version import versions

        sys.stdout.write(f"{versions()}\n")
        sys.exit()


def parse(words: Sequence[str]) -> argparse.Namespace | None:
    """
    The words of a command line, understood.

    Returns:
        `None` = it was a call for help or for the version, and both are printed.

    Raises:
        UsageError: they cannot be understood.
    """
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    parser = build_parser()
    usage_errors.refuse_without_a_command(words, subparsers(parser), COMMANDS)
    try:
        args, unknown = parser.parse_known_args(words)
    except SystemExit:
        sys.stdout.flush()
        return None
    if unknown:
        raise usage_errors.unknown(args.command, unknown, subparsers(parser))
    return args


@functools.cache
def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; one does for all commands of a process."""
    parser = _Overview(prog="migrator")
    parser.add_argument("-h", "--help", action="help", help="show this help, and end")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the versions, and end")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=Parser
    )
    for one in COMMANDS:
        command = commands.add_parser(
            one.name,
            help=one.summary,
            description=one.description,
            epilog="examples:\n" + "\n".join(f"  {example}" for example in one.examples),
        )
        one.add_options(command)
        add_common(command)
        command.set_defaults(run=one.run)
        command.usage = _usage(command)
        _name_choices(command)
    return parser


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name."""
    return next(
        dict(action.choices)
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )


def _name_choices(parser: argparse.ArgumentParser) -> None:
    """Many choices stand better in an option's help than in its name."""
    for action in parser._actions:
        if action.choices is not None and action.metavar is None:
            action.metavar = action.dest.upper()
            action.help = f"{action.help}: {', '.join(map(str, action.choices))}"


def _usage(parser: argparse.ArgumentParser) -> str:
    """Made here, because each Python breaks a long one in its own way."""
    words = [
        f"[{action.metavar} ...]" if action.nargs == "*" else f"{action.metavar or action.dest}"
        for action in parser._actions
        if not action.option_strings
    ]
    return " ".join(["%(prog)s", *words, "[options]"])
