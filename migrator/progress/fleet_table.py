"""The journeys of a fleet as a table, for the live display and for its end."""

from collections.abc import Callable, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from migrator.fleet import JourneyStatus, Phase, totals
from migrator.states import State

_STYLES = {0: "green", 1: "yellow"}
_URGENCY = (Phase.RUNNING, Phase.RETRYING, Phase.WAITING, Phase.ENDED)
_OTHER_LINES = 3  # the header, the total, and the cursor's


class FleetTable:
    """
    A table that is drawn as the journeys are at that moment.

    Args:
        clock: Monotonic, in seconds.
        is_live: Whether it must fit on the terminal: where it does not, those at work come first.
    """

    def __init__(
        self, statuses: Sequence[JourneyStatus], clock: Callable[[], float], *, is_live: bool = True
    ) -> None:
        self._statuses = statuses
        self._clock = clock
        self._is_live = is_live

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_footer=True)
        every = totals(self._statuses)
        table.add_column("journey", "total", no_wrap=True, overflow="ellipsis")
        table.add_column("now", overflow="fold", ratio=1)
        sums = [every["states"][state] for state in State] + [every["held"], every["in_doubt"]]
        for name, number in zip([*State, "held", "in doubt"], sums, strict=True):
            table.add_column(str(name), f"{number:,}", justify="right", no_wrap=True)
        for one in self._shown(options.size.height - _OTHER_LINES):
            numbers = [one.states.get(state) for state in State]
            told = ["" if number is None else f"{number:,}" for number in numbers]
            rest = [f"{one.held:,}", f"{one.in_doubt:,}"] if one.states else ["", ""]
            table.add_row(one.journey.name, self._now(one), *told, *rest)
        yield table

    def _shown(self, at_most: int) -> Sequence[JourneyStatus]:
        if not self._is_live or len(self._statuses) <= at_most:
            return self._statuses
        return sorted(self._statuses, key=lambda one: _URGENCY.index(one.phase))[: max(1, at_most)]

    def _now(self, one: JourneyStatus) -> Text:
        words = one.words(self._clock())
        if one.phase is Phase.RUNNING:
            done, total = one.progress.get("done"), one.progress.get("total")
            reach = "" if done is None else f" {done:,}" + (f" of {total:,}" if total else "")
            return Text(f"{words}{reach}", style="cyan")
        style = "dim" if one.code is None else _STYLES.get(one.code, "red")
        return Text(words, style=style)
