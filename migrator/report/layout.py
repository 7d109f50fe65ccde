"""
Building blocks of the views in the terminal, and printing them at any width and in any encoding.

Texts are never parsed as markup, and a character that the output cannot show is replaced.
"""

import re
from collections.abc import Callable, Iterable

from rich.box import SIMPLE, Box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from migrator.report.labels import STICKY, no_wrap
from migrator.streams import encodable, redirect_to_devnull

# rich's own choice without UTF-8 draws every border, which takes too much of 80 columns.
_SIMPLE_ASCII = Box("    \n    \n -- \n    \n    \n -- \n    \n    \n", ascii=True)
_COMMAND = re.compile("`[^`]*`")
# One character for one, because the layout is done by then.
_IN_ASCII = str.maketrans({"·": "-", "…": "~", "→": ">"})


def print_to(
    parts: Callable[[bool], Iterable[RenderableType]], console: Console | None = None
) -> None:
    """
    Print parts with a blank line between them. A closed pipe (`| head`) is no failure.

    Args:
        parts: Makes the parts; its argument tells whether the output takes UTF-8.
        console: Where to; `None` = stdout.
    """
    console = console or Console(highlight=False)
    with console.capture() as captured:
        for part in parts("utf" in console.encoding):
            console.print(part)
            console.print()
    lines = [line.rstrip() for line in captured.get().replace(STICKY, " ").splitlines()]
    text = "\n".join(lines).rstrip() + "\n"
    try:
        # Not by the console itself, which exits with a code of its own when a pipe breaks.
        console.file.write(encodable(text, console.encoding, _IN_ASCII))
        console.file.flush()
    except BrokenPipeError:
        redirect_to_devnull(console.file)


def titled(title: str, part: RenderableType) -> RenderableType:
    """A part under its title."""
    return Group(Text(title, style="bold"), part)


def bare_table(is_utf: bool, *, has_footer: bool = False) -> Table:
    """A table with a rule below its header and no borders."""
    return Table(
        box=SIMPLE if is_utf else _SIMPLE_ASCII,
        header_style="dim",
        footer_style="bold",
        show_footer=has_footer,
        show_edge=False,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )


def key_values(rows: Iterable[tuple[str, str | Text]]) -> Table:
    """A table of names and values."""
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(Text(name), Text(value, overflow="fold") if isinstance(value, str) else value)
    return grid


def with_commands(text: str) -> str:
    """A text of ours with each command kept on one line, so that it can be copied."""
    return _COMMAND.sub(lambda command: no_wrap(command[0]), text)


def next_line(command: str, why: str) -> Text:
    """The line with the next command."""
    if not command:
        return Text.assemble(("Next: ", "dim"), why)
    return Text.assemble(("Next: ", "dim"), (command, "bold"), Text(f"   ({why})", style="dim"))
