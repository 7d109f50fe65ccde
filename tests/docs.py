"""
The README's command reference, made from the parser: `python -m tests.docs` writes it anew.

It reads the parser's actions and not its help text, whose layout differs between Pythons.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from migrator.cli.parser import build_parser

README = Path(__file__).parent.parent / "README.md"
SECTION = re.compile(r"(?s)(<!-- begin: help -->\n).*?(<!-- end: help -->)")


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    choices = next(
        action.choices
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(choices)


def reference() -> str:
    return "\n".join(
        line for name, one in commands(build_parser()).items() for line in of(name, one)
    )


def of(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"**`migrator {name}`**: {parser.description}\n"
    rows = [row(action) for action in parser._actions if action.dest not in ("help", *LOUDNESS)]
    if rows:
        yield "| option | meaning |\n| --- | --- |"
        yield "\n".join(rows) + "\n"


LOUDNESS = ("verbose", "quiet")


def row(action: argparse.Action) -> str:
    words = " ".join(action.option_strings) or str(action.metavar)
    value = ""
    if action.option_strings and action.nargs != 0:
        value = " " + (str(action.metavar) if action.metavar else choices(action))
    return f"| `{(words + value).replace('|', chr(92) + '|')}` | {action.help} |"


def choices(action: argparse.Action) -> str:
    return "|".join(action.choices) if action.choices else action.dest.upper()


def main() -> None:
    text = README.read_text(encoding="utf-8")
    README.write_text(SECTION.sub(lambda found: found[1] + reference() + found[2], text), "utf-8")


if __name__ == "__main__":
    main()
