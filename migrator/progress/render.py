"""
The progress of a command as a line, or as a frame of the live display.

The bars of the states add up to all contacts; the bar above them is the progress of the command.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

from migrator.progress.state import ProgressTracker, Wait
from migrator.text import one_line

SEPARATOR = " · "
# Narrower displays have no bars, or no percentages.
NARROWEST_WITH_BARS = 32
NARROWEST_WITH_SHARES = 40


def line(tracker: ProgressTracker, wait: Wait | None, now: float) -> str:
    """The progress in one line."""
    states = ", ".join(f"{name} {number:,}" for name, number in tracker.now.states.items())
    parts = [
        _reach(tracker, tracker.now.total),
        *_pace(tracker, wait, now),
        states,
        *_numbers(tracker),
        *_standing(tracker),
    ]
    return _line(tracker, [*parts, _waiting(wait, now)])


def last_line(tracker: ProgressTracker) -> str:
    """The line that remains at the end, without waits."""
    now = tracker.now
    # For a stage, the contacts that were read: the mapping has no last line of its own.
    reach = _reach(tracker, None if now.command == "stage" else now.total)
    return _line(tracker, [reach, *_numbers(tracker), *_doubts(tracker)])


def _line(tracker: ProgressTracker, parts: Sequence[str]) -> str:
    return f"{tracker.now.command}: {SEPARATOR.join(part for part in parts if part)}"


@dataclass(frozen=True)
class Frame:
    """
    A frame of the live display, as wide as the terminal.

    Args:
        spinner: Shared by all frames, because it turns from one to the next.
        now: The time, on the monotonic clock.
    """

    tracker: ProgressTracker
    wait: Wait | None
    spinner: Spinner
    now: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        width = options.max_width
        yield _bars(self.tracker, width)
        pace = _pace(self.tracker, self.wait, self.now)
        parts = [*pace, *_numbers(self.tracker), *_standing(self.tracker)]
        if self.tracker.now.total is None:
            # No bar: HubSpot does not say how many contacts there are.
            parts.insert(0, f"{_reach(self.tracker, None)} so far")
        told = [*packed(parts, width - 2), *packed([_waiting(self.wait, self.now)], width - 2)]
        below = Table.grid(padding=(0, 1))
        below.add_row(self.spinner, Text("\n".join(told)))
        yield below
        for note in self.tracker.now.notes:
            yield Text(note, style="dim", overflow="ellipsis", no_wrap=True)


def packed(parts: Sequence[str], width: int) -> Iterator[str]:
    """The parts in as few lines as possible; a part is broken only if it is wider than a line."""
    row = ""
    for part in filter(None, parts):
        longer = f"{row}{SEPARATOR}{part}" if row else part
        if row and len(longer) > width:
            yield row
            row = part
        else:
            row = longer
    if row:
        yield row


def _bars(tracker: ProgressTracker, width: int) -> RenderableType:
    now = tracker.now
    shown = (True, width >= NARROWEST_WITH_BARS, True, width >= NARROWEST_WITH_SHARES)
    columns = (
        Column(no_wrap=True),
        Column(ratio=1),
        Column(no_wrap=True, justify="right"),
        Column(no_wrap=True, justify="right", min_width=4),
    )
    wanted = [column for column, is_shown in zip(columns, shown, strict=True) if is_shown]
    grid = Table.grid(*wanted, padding=(0, 1), expand=shown[1])

    def add(name: str, number: int, total: int, told: str, style: str) -> None:
        # Not rich's own colour: its red looks like an alarm.
        bar = ProgressBar(max(total, 1), number, complete_style=style, finished_style=style)
        share = f"{100 * number // max(total, 1)}%"
        cells: list[RenderableType] = [name, bar, told, share]
        grid.add_row(*(cell for cell, is_shown in zip(cells, shown, strict=True) if is_shown))

    if now.total is not None:
        done = min(now.done, now.total)
        add(now.command, done, now.total, f"{done:,} of {now.total:,}", "bold green")
    for name, number in now.states.items():
        add(name, number, sum(now.states.values()), f"{number:,}", "cyan")
    return grid if grid.row_count else Group()


# In words


def _reach(tracker: ProgressTracker, total: int | None) -> str:
    done, unit = tracker.now.typed.reach(total)
    of = f" of {total:,}" if total else ""
    return f"{done:,}{of} {unit}" if unit else ""


def _pace(tracker: ProgressTracker, wait: Wait | None, now: float) -> list[str]:
    allowed = tracker.now.allowed_per_minute
    if not tracker.per_minute:
        return [] if allowed is None else [f"up to {allowed:,.0f} a minute"]
    of = "" if allowed is None else f" ({allowed:,.0f} allowed)"
    pace = f"{tracker.per_minute:,.0f} a minute{of}"
    left = tracker.seconds_left(wait, now)
    return [pace] if left is None else [pace, f"{timedelta(seconds=round(left))} left"]


def _numbers(tracker: ProgressTracker) -> list[str]:
    return list(tracker.now.typed.parts(live=True))


def _standing(tracker: ProgressTracker) -> list[str]:
    held = tracker.now.held
    return [*_doubts(tracker), *([f"{held:,} held"] if held else [])]


def _doubts(tracker: ProgressTracker) -> list[str]:
    doubts = tracker.now.counters.get("in_doubt", 0)
    return [f"{doubts:,} in doubt"] if doubts else []


def _waiting(wait: Wait | None, now: float) -> str:
    if wait is None:
        return ""
    what, left = one_line(wait.what), wait.seconds_left(now)
    if left is None or wait.until_wall is None:
        return f"waiting for {what}"
    until = datetime.fromtimestamp(wait.until_wall)
    return f"waiting until {until:%H:%M:%S} for {what} ({left:.0f} s)"
