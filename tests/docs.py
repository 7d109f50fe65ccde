"""
The reference in `docs/reference/`, made from the code: `python -m tests.docs` writes it anew.

It reads the parser's actions and not its help text, whose layout follows the terminal.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from migrator import errors
from migrator.cli.arguments import Command
from migrator.cli.help import ENVIRONMENT
from migrator.cli.parser import COMMANDS, build_parser, subparsers
from migrator.errors import ExitCode, Interrupted, MigratorError
from migrator.mapping import DEFAULT

README = Path(__file__).parent.parent / "README.md"
FOLDER = README.parent / "docs" / "reference"
BY_HAND = "<!-- Made by `python -m tests.docs`; what is changed here by hand is lost. -->\n"


def pages() -> Mapping[str, str]:
    """Each page of the reference, by the name of its file."""
    return {
        "commands.md": "\n".join(_commands()),
        "exit-codes.md": "\n".join(_exit_codes()),
        "mapping-file.md": _mapping_file(),
    }


def _commands() -> Iterator[str]:
    yield f"# Commands\n\n{BY_HAND}"
    yield "Options follow the command, are never abbreviated, and `migrator COMMAND --help` shows"
    yield "them with the same words. Every command has these:\n"
    parsers = subparsers(build_parser())
    common = [action for action in parsers["demo"]._actions if action.dest in COMMON]
    yield from _table(common)
    for command in COMMANDS:
        yield from _command(command, parsers[command.name])
    yield "## Environment\n\nAlso from a file `.env` in the working directory:\n"
    yield "| variable | meaning |\n| --- | --- |"
    yield from (f"| `{name}` | {meaning} |" for name, meaning in ENVIRONMENT.items())
    yield ""


def _mapping_file() -> str:
    return f"""# The mapping file

{BY_HAND}
TOML, in UTF-8. This is the built-in one, as `migrator mapping --builtin` prints it; its comments
say what else can stand there. How to have another one:
[Change the mapping](../how-to/change-the-mapping.md).

```toml
{DEFAULT.text.rstrip()}
```

Every fault of a file is named at once, with its place, what is wrong and what to write instead. The
hash of a mapping (SHA-256, in `migrator report --json`) is that of its rules: comments, blanks and
the order of keys do not count.
"""


COMMON = ("log_file", "verbose", "quiet", "help")


def _command(command: Command, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## migrator {command.name}\n\n{command.description}\n"
    if own := [action for action in parser._actions if action.dest not in COMMON]:
        yield from _table(own)
    yield "\n".join(["```", *command.examples, "```\n"])


def _table(actions: list[argparse.Action]) -> Iterator[str]:
    yield "| option | meaning |\n| --- | --- |"
    yield from map(_row, actions)
    yield ""


def _row(action: argparse.Action) -> str:
    words = ", ".join(action.option_strings) or str(action.metavar)
    value = ""
    if action.option_strings and action.nargs != 0:
        value = f" {action.metavar or action.dest.upper()}"
    return f"| `{(words + value).replace('|', chr(92) + '|')}` | {action.help} |"


def _exit_codes() -> Iterator[str]:
    yield f"# Exit codes\n\n{BY_HAND}"
    yield "Nothing that was done is lost, whatever the code, and the next command to type is said"
    yield "on stderr after `next:`. An unknown code must be treated as a failure.\n"
    yield "| code | meaning |\n| --- | --- |"
    yield from (f"| {int(code)} | {code.meaning} |" for code in ExitCode)
    for code in ExitCode:
        if causes := [_cause(kind) for kind in _kinds(MigratorError) if kind.exit_code is code]:
            yield f"\n## What can be behind {int(code)}\n"
            yield from (f"- {cause}" for cause in causes)
    yield ""


def _kinds(of: type[MigratorError]) -> Iterator[type[MigratorError]]:
    """The errors of the product; an interruption has the code of its signal."""
    for child in of.__subclasses__():
        if child.__module__ == errors.__name__ and child is not Interrupted:
            yield child
            yield from _kinds(child)


def _cause(kind: type[MigratorError]) -> str:
    """The first sentence that an error says of itself."""
    text = " ".join((kind.__doc__ or "").split())
    return text.partition(". ")[0].rstrip(".") + "."


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
