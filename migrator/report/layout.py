"""
What every page is made of, and how it is put on an output of any width and encoding.

It knows no facts. It never takes a text for markup, and never fails because an output cannot show a
character.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime

from rich.box import SIMPLE, Box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from migrator.report.labels import STICKY, no_wrap

# rich's own choice where there is no UTF-8 draws every border, which takes too much of 80 columns.
_SIMPLE_ASCII = Box("    \n    \n -- \n    \n    \n -- \n    \n    \n", ascii=True)
_COMMAND = re.compile("`[^`]*`")
# One for one: the layout is done by then.
_IN_ASCII = str.maketrans({"·": "-", "…": "~", "→": ">"})


def print_to(
    parts: Callable[[bool], Iterable[RenderableType]], console: Console | None = None
) -> None:
    """
    Put parts on an output, a blank line between them.

    Args:
        parts: Makes them; it is told whether the output takes UTF-8.
        console: Where; `None` = on stdout.

    Raises:
        BrokenPipeError: whoever read the output has left.
    """
    console = console or Console(highlight=False)
    with console.capture() as captured:
        for part in parts("utf" in console.encoding):
            console.print(part)
            console.print()
    lines = [line.rstrip() for line in captured.get().replace(STICKY, " ").splitlines()]
    text = "\n".join(lines).rstrip() + "\n"
    # Not by the console itself: it would exit, with a code of its own, when a pipe breaks.
    console.file.write(_shown(text, console.encoding))
    console.file.flush()


def _shown(text: str, encoding: str) -> str:
    """The text as far as the output can show it."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_IN_ASCII).encode(encoding, "replace").decode(encoding)
    return text


def titled(title: str, part: RenderableType) -> RenderableType:
    """A part under its title."""
    return Group(Text(title, style="bold"), part)


def bare_table(is_utf: bool, *, has_footer: bool = False) -> Table:
    """A table with no more lines than it needs."""
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
    """Names, and what is to be said of each."""
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(Text(name), Text(value, overflow="fold") if isinstance(value, str) else value)
    return grid


def with_commands(text: str) -> str:
    """A text of ours, its commands each on one line, to be copied."""
    return _COMMAND.sub(lambda command: no_wrap(command[0]), text)


def local(milliseconds: int, form: str = "%Y-%m-%d %H:%M") -> Text:
    """A moment in the zone of whoever reads it."""
    return Text(datetime.fromtimestamp(milliseconds / 1000).strftime(form))


def next_line(command: str, why: str) -> Text:
    """What comes next."""
    if not command:
        return Text.assemble(("Next: ", "dim"), why)
    return Text.assemble(("Next: ", "dim"), (command, "bold"), Text(f"   ({why})", style="dim"))
