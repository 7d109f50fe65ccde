"""
What a person sees while a command works: talk, errors, and how far it is; all of it on one stream.

A live display where there is a terminal, a plain line now and then elsewhere. It knows neither
ledger nor service, only the numbers that it is told, and must never fail: a closed pipe or a
character that cannot be shown is no reason to stop a push.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Self, TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from migrator.printable import one_line, visible

LINE_EVERY_SECONDS = 5.0
FRAMES_A_SECOND = 10
# A pace that is judged by less says nothing of the time that is left.
SHORTEST_SAMPLE_SECONDS = 5.0

Counters = Mapping[str, int | float | str | None]


def tell(text: str) -> None:
    """
    Print a result on stdout, where data goes; whoever has values in it made each one line.

    That nobody reads it any more (`| head`) changes nothing of how the command went.
    """
    try:
        print(visible(text), flush=True)
    except BrokenPipeError:
        let_go(sys.stdout)


class Talk:
    """
    All that is said on the way.

    Args:
        stream: Where to; stderr, because stdout is for data.
        quiet: Say nothing but errors.
        verbose: Every request is logged to the same stream, so there is no live display.
        environ: For TERM and NO_COLOR.
        clock: Monotonic, in seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        quiet: bool = False,
        verbose: bool = False,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        calm = _Calm(stream)
        is_dumb = environ.get("TERM", "").lower() in ("dumb", "unknown")
        is_terminal = calm.isatty() and not is_dumb
        self._console = _Console(
            file=cast(TextIO, calm),
            force_terminal=is_terminal,
            markup=False,
            emoji=False,
            highlight=False,
            _environ=environ,
        )
        self._is_quiet = quiet
        self._may_live = is_terminal and not verbose
        self._clock = clock
        self._is_open = False
        self._live: Live | None = None
        self._view: _View | None = None
        self._next_line_at = 0.0
        self._last_line = ""

    def say(self, text: str) -> None:
        """Say a line, unless told to be quiet."""
        if not self._is_quiet:
            self._print(Text(one_line(text)))

    def error(self, message: str, hint: str) -> None:
        """Say what failed and what to type next; also when told to be quiet."""
        self._print(_labelled("error", message, "bold red"))
        self._print(_labelled("next", hint, "bold"))

    def show(self, verb: str, counters: Counters) -> None:
        """Show how far a verb is. It is cheap, so it can be called as often as anything changes."""
        if self._is_quiet:
            return
        if self._view is None or self._view.verb != verb:
            self._finish()
            self._view = _view(verb, self._console.encoding)
            self._next_line_at = self._clock()
        self._view.take(counters, self._clock())
        if self._is_open and self._may_live:
            self._go_live()
        elif self._clock() >= self._next_line_at:
            self._next_line_at = self._clock() + LINE_EVERY_SECONDS
            self._print_line(self._view.line())

    def __enter__(self) -> Self:
        self._is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        self._finish()

    def _go_live(self) -> None:
        # A thread of rich draws, ten times a second: that bounds the work, and keeps the
        # spinner turning while the verb waits and calls nobody.
        if self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=self._frame,
                refresh_per_second=FRAMES_A_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def _frame(self) -> RenderableType:
        return "" if self._view is None else self._view.frame()

    def _finish(self) -> None:
        """End the display; what it showed last remains as a line."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._view is not None:
            self._print_line(self._view.line(is_last=True))
            self._view = None

    def _print_line(self, line: str) -> None:
        if line != self._last_line:
            self._last_line = line
            self._print(Text(line))

    def _print(self, text: Text) -> None:
        # Lines are not broken: the terminal does that, and a pipe wants them whole.
        self._console.print(text, soft_wrap=True)


def _labelled(label: str, text: str, style: str) -> Text:
    # A message may have several lines. They are indented, so that none can pass for a label.
    lines = [one_line(line) for line in text.split("\n")]
    return Text.assemble((f"{label}:", style), " ", "\n  ".join(line for line in lines if line))


# How far a verb is


class _View:
    """
    How far a verb is, as a line and as a frame of the live display.

    Args:
        words: The counters to show and their words, in this order; the first `always` of them
            also when they are 0.
    """

    def __init__(self, verb: str, words: Mapping[str, str], always: int, spinner: str) -> None:
        self.verb = verb
        self._words = words
        self._always = always
        self._spinner = Spinner(spinner)
        self._counters: Counters = {}

    def take(self, counters: Counters, now: float) -> None:
        """Remember the newest numbers. They are copied: the verb goes on counting in its own."""
        self._counters = dict(counters)

    def line(self, *, is_last: bool = False) -> str:
        """All of it in one line; in the last one nothing is waited for any more."""
        return f"{self.verb}: {' · '.join(self._parts(is_last=is_last))}"

    def frame(self) -> RenderableType:
        """All of it for a live display."""
        grid = Table.grid(padding=(0, 1))
        grid.add_row(self._spinner, Text(self.line()))
        return grid

    def _parts(self, *, is_last: bool = False) -> list[str]:
        told = self._counters.get("waiting_for")
        waiting_for = one_line(told) if isinstance(told, str) and not is_last else ""
        numbers = []
        for index, (name, word) in enumerate(self._words.items()):
            part = f"{self._number(name):,} {word}"
            # What is waited for may name a number itself.
            if (self._number(name) or index < self._always) and part not in waiting_for:
                numbers.append(part)
        return [*numbers, waiting_for] if waiting_for else numbers

    def _number(self, name: str) -> int:
        value = self._counters.get(name)
        return value if isinstance(value, int) else 0


class _PushView(_View):
    """A push has an end that can be foreseen: a bar, a pace, the time that is left."""

    def __init__(self, verb: str, words: Mapping[str, str], always: int, spinner: str) -> None:
        super().__init__(verb, words, always, spinner)
        self._to_send = 0
        self._total = 0
        # (when, how many were posted), about one a second and a minute back: the pace of now.
        self._samples: deque[tuple[float, int]] = deque(maxlen=61)

    def take(self, counters: Counters, now: float) -> None:
        super().take(counters, now)
        # The push counts what is left only now and then; in between only what it posted moves.
        if self._number("to_send") != self._to_send:
            self._to_send = self._number("to_send")
            self._total = self._posted() + self._to_send
        if not self._samples or now - self._samples[-1][0] >= 1.0:
            self._samples.append((now, self._posted()))

    def line(self, *, is_last: bool = False) -> str:
        of_total = f" of {self._total:,}" if self._total else ""
        pace = [] if is_last else self._pace()
        parts = [f"{self._posted():,}{of_total} posted", *pace, *self._parts(is_last=is_last)]
        return f"{self.verb}: {' · '.join(parts)}"

    def frame(self) -> RenderableType:
        if not self._total:
            return super().frame()
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(no_wrap=True)
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True, justify="right")
        done = Text(f"{self._posted():,} of {self._total:,} posted")
        # Not rich's own colour: its red looks like an alarm.
        progress = ProgressBar(self._total, self._posted(), complete_style="green")
        bar.add_row(self.verb, progress, done)
        below = Table.grid(padding=(0, 1))
        below.add_row(self._spinner, Text(" · ".join(self._pace() + self._parts())))
        return Group(bar, below)

    def _posted(self) -> int:
        return self._number("posted") + self._number("found")

    def _pace(self) -> list[str]:
        per_minute, allowed = self._per_minute(), self._counters.get("per_minute")
        if per_minute:
            seconds = round(60 * max(0, self._total - self._posted()) / per_minute)
            return [f"{per_minute:,.0f} a minute", f"{timedelta(seconds=seconds)} left"]
        return [f"up to {allowed:,.0f} a minute"] if isinstance(allowed, int | float) else []

    def _per_minute(self) -> float | None:
        """`None` = it is too early to say."""
        if not self._samples:
            return None
        (began, before), (now, posted) = self._samples[0], self._samples[-1]
        if now - began < SHORTEST_SAMPLE_SECONDS:
            return None
        return (posted - before) * 60 / (now - began)


_STAGE = {
    "pages": "pages",
    "given": "contacts",
    "new": "new",
    "mapped": "mapped",
    "changed": "changed",
    "rejected": "held",
    "freed": "freed",
    "stale": "changed after they were posted",
}
_PUSH = {
    "adopted": "adopted",
    "in_doubt": "in doubt",
    "refused": "refused",
    "gave_up": "given up",
}
_VERIFY = {"leads": "leads looked at"}


def _view(verb: str, encoding: str) -> _View:
    spinner = "dots" if "utf" in encoding else "line"
    if verb == "push":
        return _PushView(verb, _PUSH, 0, spinner)
    if verb == "verify":
        return _View(verb, _VERIFY, 1, spinner)
    return _View(verb, _STAGE, 4, spinner)


# A stream that never fails


class _Console(Console):
    def show_cursor(self, show: bool = True) -> bool:
        # A cursor hidden by a process that is killed would stay hidden in the user's shell.
        return False


def let_go(stream: TextIO) -> None:
    """Let a stream that nobody can read lead nowhere."""
    # Python flushes once more at its end, and would turn the exit code into 120.
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Calm:
    """A stream that shows what it can, and is silent for good once it can show nothing more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(self._showable(text)))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError:
            # Nobody reads it, or there is no room: what is left in it would fail at the end again.
            let_go(self._stream)
        except ValueError:
            pass  # it is closed

    def isatty(self) -> bool:
        with suppress(OSError, ValueError):
            return self._stream.isatty()
        return False

    def fileno(self) -> int:
        return self._stream.fileno()

    def _showable(self, text: str) -> str:
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            text = text.replace("·", "-").replace("…", "...")
            return text.encode(self.encoding, "replace").decode(self.encoding)
        return text
