"""The argparse parser of all commands."""

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
    fleet,
    forget,
    mapping,
    plan,
    preflight,
    probe,
    push,
    rehearse,
    report,
    retry,
    run,
    sandbox,
    show,
    stage,
    undo,
    update,
    usage_errors,
    verify,
)
from migrator.cli.arguments import GROUPS, Command, add_common
from migrator.cli.help import Layout, overview

# In the order of the help.
COMMANDS: Sequence[Command] = (
    demo.COMMAND,
    auth.COMMAND,
    clients.COMMAND,
    probe.COMMAND,
    preflight.COMMAND,
    mapping.COMMAND,
    stage.COMMAND,
    plan.COMMAND,
    rehearse.COMMAND,
    push.COMMAND,
    verify.COMMAND,
    update.COMMAND,
    undo.COMMAND,
    run.COMMAND,
    fleet.COMMAND,
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
    A parser with our own layout and messages, which are the same in every Python version.

    Abbreviations are off: a prefix that is unique today may be ambiguous in the next release.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False, add_help=False, formatter_class=Layout)
        self.color = False  # newer Pythons colour help by default
        for title in GROUPS[1:]:
            self.add_argument_group(title)

    def print_help(self, file: Any = None) -> None:
        """Print the help; unlike argparse's, this does not ignore write errors."""
        (file or sys.stdout).write(self.format_help())

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, so that it is reported like every other error."""
        raise usage_errors.usage_error(self, message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise usage_errors.invalid_choice(self, action, str(value))


class _Overview(Parser):
    """The parser of the program, whose help is `overview`."""

    def format_help(self) -> str:
        return overview(COMMANDS)


class _Version(argparse.Action):
    """Prints the versions and exits; they are read only then."""

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        from migrator.cli.version import versions

        sys.stdout.write(f"{versions()}\n")
        sys.exit()


def parse(words: Sequence[str]) -> argparse.Namespace | None:
    """
    Parse the arguments of a command line.

    Returns:
        `None` = help or the version was asked for, and is printed.

    Raises:
        UsageError: the arguments are invalid.
    """
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    usage_errors.refuse_without_a_command(words, lambda: subparsers(build_parser()), COMMANDS)
    try:
        args, unknown = build_parser(words[0]).parse_known_args(words)
    except SystemExit:
        sys.stdout.flush()
        return None
    if unknown:
        raise usage_errors.unknown(args.command, unknown, subparsers(build_parser()))
    return args


@functools.cache
def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """
    The parser of the command line.

    Args:
        only: The one command that has its options, because to make them takes a while; `None` =
            all of them have.
    """
    parser = _Overview(prog="migrator")
    parser.add_argument("-h", "--help", action="help", help="show this help and exit")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the versions and exit")
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
        if only in (None, one.name):
            one.add_options(command)
            add_common(command)
            command.set_defaults(run=one.run)
            command.usage = _usage(command)
            _name_choices(command)
    return parser


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by name."""
    return next(
        dict(action.choices)
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )


def _name_choices(parser: argparse.ArgumentParser) -> None:
    """Show the choices of an option in its help instead of in its name."""
    for action in parser._actions:
        if action.choices is not None and action.metavar is None:
            action.metavar = action.dest.upper()
            action.help = f"{action.help}: {', '.join(map(str, action.choices))}"


def _usage(parser: argparse.ArgumentParser) -> str:
    """The usage line; argparse would wrap it differently in each Python version."""
    shapes = {"*": "[{} ...]", "?": "[{}]"}
    words = [
        shapes.get(str(action.nargs), "{}").format(action.metavar or action.dest)
        for action in parser._actions
        if not action.option_strings
    ]
    return " ".join(["%(prog)s", *words, "[options]"])
