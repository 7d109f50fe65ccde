"""
Shows messages and progress: a live display, a line every few seconds, or a JSON object a second.

Everything goes to stderr, except for the JSON objects, which go to stdout.
"""

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from shlex import quote
from typing import Self, TextIO, cast

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from migrator.progress.render import Frame, last_line, line
from migrator.progress.state import ProgressTracker, Snapshot, Wait, as_json
from migrator.streams import QuietConsole, SafeStream, is_writable_now, tell
from migrator.text import json_text, one_line, wrapped

LINE_EVERY_SECONDS = 5.0
OBJECT_EVERY_SECONDS = 1.0
FRAMES_A_SECOND = 10
# A shorter wait is not shown.
SHORTEST_WAIT_SECONDS = 1.0
# A command that has the option --ledger; a test compares these with all commands.
_OF_A_LEDGER = re.compile(r"\bmigrator (?!(?:auth|completion|demo|fleet|sandbox)\b)[a-z]")


class Display:
    """
    Messages and progress of a command. `waiting` is thread-safe; the rest is for one thread.

    Args:
        stream: Where messages go; stderr, because stdout is for data.
        quiet: Print errors only.
        verbose: Every request is logged to the same stream, so there is no live display.
        as_json: Progress goes to stdout, as JSON objects.
        ledger: The option `--ledger` of the command line; `None` = not given.
        environ: For TERM and NO_COLOR.
        clock: Monotonic, in seconds.
        wall: The time of day, in seconds since the epoch.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        quiet: bool = False,
        verbose: bool = False,
        as_json: bool = False,
        ledger: str | None = None,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        calm = SafeStream(stream)
        is_dumb = environ.get("TERM", "").lower() in ("dumb", "unknown")
        is_terminal = calm.isatty() and not is_dumb
        self._stream = stream
        self._console = QuietConsole(
            file=cast(TextIO, calm),
            force_terminal=is_terminal,
            markup=False,
            emoji=False,
            highlight=False,
            _environ=environ,
        )
        self._is_terminal = is_terminal
        self._is_quiet = quiet
        self._is_json = as_json
        self._ledger = ledger
        self._may_live = is_terminal and not verbose and not as_json
        self._clock = clock
        self._wall = wall
        self._lock = threading.RLock()
        self._is_open = False
        self._live: Live | None = None
        self._spinner = Spinner("dots" if "utf" in self._console.encoding else "line")
        self._tracker: ProgressTracker | None = None
        self._told_wait: Wait | None = None
        self._waits: list[Wait] = []
        self._next_at = 0.0
        self._last_line = ""

    def say(self, text: str) -> None:
        """Print a line, unless quiet."""
        self.say_unlogged(text)

    def say_unlogged(self, text: str) -> None:
        """Print a line, but keep it out of the log file (personal data)."""
        if not self._is_quiet:
            self._print(Text("\n".join(self._wrapped([one_line(text)]))))

    def error(self, message: str, hint: str) -> None:
        """Say what failed and what to type next; also when told to be quiet."""
        self._print_labelled("error", message, "bold red")
        self._print_labelled("next", self.following(hint), "bold")

    def say_next(self, command: str) -> None:
        """Say what to type next, unless quiet."""
        self.say(f"next: {self.following(command)}")

    def following(self, text: str) -> str:
        """What to type next, with the `--ledger` of this command line if its command needs it."""
        if self._ledger is None or "--ledger" in text or not _OF_A_LEDGER.search(text):
            return text
        return f"{text} (with --ledger {quote(self._ledger)})"

    def show(self, snapshot: Snapshot) -> None:
        """Show the progress; cheap enough to be called on every change."""
        if self._is_quiet:
            return
        with self._lock:
            if self._tracker is None or self._tracker.now.command != snapshot.command:
                self._finish()
                self._tracker = ProgressTracker(snapshot)
                self._next_at = self._clock()
            self._tracker.take(snapshot, self._clock())
            self._remember_wait(snapshot)
            self._emit()

    @contextmanager
    def waiting(self, what: str, seconds: float) -> Iterator[None]:
        """Show a wait while the block runs, in any thread."""
        if self._is_quiet or seconds < SHORTEST_WAIT_SECONDS:
            yield
            return
        wait = self._wait(what, seconds)
        with self._lock:
            self._waits.append(wait)
            self._do_not_keep_back(wait)
            self._emit()
        try:
            yield
        finally:
            with self._lock:
                self._waits.remove(wait)

    @contextmanager
    def paused(self) -> Iterator[Console]:
        """Show no progress while the block prints, to this console or elsewhere, or asks."""
        with self._lock:
            self._finish()
            yield self._console

    @contextmanager
    def live(self, frame: RenderableType) -> Iterator[None]:
        """Draw this on a terminal, ten times a second, while the block runs."""
        if self._may_live and not self._is_quiet:
            with self._drawing(lambda: frame):
                yield
        else:
            yield

    def __enter__(self) -> Self:
        self._is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        with self._lock:
            self._finish()

    def _wait(self, what: str, seconds: float | None) -> Wait:
        if seconds is None:
            return Wait(what)
        return Wait(what, self._clock() + seconds, self._wall() + seconds)

    def _remember_wait(self, snapshot: Snapshot) -> None:
        if snapshot.waiting_for is None:
            self._told_wait = None
            return
        wait = self._wait(snapshot.waiting_for, snapshot.waiting_seconds)
        # The end is kept: computed again each time, its seconds would flicker.
        if not wait.is_about(self._told_wait):
            self._told_wait = wait
            self._do_not_keep_back(wait)

    def _do_not_keep_back(self, wait: Wait) -> None:
        """Show a long wait as it begins: nothing else may be shown before its end."""
        if (wait.seconds_left(self._clock()) or 0.0) > LINE_EVERY_SECONDS:
            self._next_at = self._clock()

    def _current_wait(self) -> Wait | None:
        """The longest of the waits."""
        waits = [one for one in (*self._waits, self._told_wait) if one is not None]
        return max(waits, key=lambda wait: wait.until or 0.0, default=None)

    # Where it goes

    def _emit(self) -> None:
        if self._tracker is None:
            return
        if self._is_open and self._may_live:
            self._go_live()
        elif self._clock() >= self._next_at:
            every = OBJECT_EVERY_SECONDS if self._is_json else LINE_EVERY_SECONDS
            self._next_at = self._clock() + every
            if self._is_json:
                self._tell_object(self._tracker)
            else:
                self._print_line(line(self._tracker, self._current_wait(), self._clock()))

    def _tell_object(self, tracker: ProgressTracker) -> None:
        # A slow reader misses some, and one that does not read blocks nothing. A full disk is
        # reported by the result line.
        if is_writable_now(sys.stdout):
            with suppress(OSError, ValueError):
                wait = self._current_wait()
                tell(json_text(as_json(tracker, wait, self._clock(), self._wall())))

    def _go_live(self) -> None:
        # A thread of rich draws ten times a second: that bounds the work, and keeps the spinner
        # turning while the command waits.
        if self._live is None:
            self._live = self._drawing(self._frame)
            self._live.start(refresh=True)

    def _drawing(self, frame: Callable[[], RenderableType]) -> Live:
        return Live(
            console=self._console,
            get_renderable=frame,
            refresh_per_second=FRAMES_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def _frame(self) -> RenderableType:
        if self._tracker is None:
            return ""
        return Frame(self._tracker, self._current_wait(), self._spinner, self._clock())

    def _finish(self) -> None:
        """End the display; its last state remains as a line."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._tracker is not None and not self._is_json:
            self._print_line(last_line(self._tracker))
        self._tracker = None

    def _print_line(self, text: str) -> None:
        if text != self._last_line and is_writable_now(self._stream):
            self._last_line = text
            self._print(Text(text))

    def _print_labelled(self, label: str, text: str, style: str) -> None:
        lines = self._wrapped(map(one_line, f"{label}: {text}".split("\n")))
        told = Text("\n".join(lines))
        told.stylize(style, 0, len(label) + 1)
        self._print(told)

    def _wrapped(self, lines: Iterable[str]) -> Iterator[str]:
        """
        The lines that are not empty, all but the first one indented; on a terminal, wrapped.

        Without the indent, a line of a message could pass for a label.
        """
        indent = ""
        for one in filter(None, lines):
            width = self._console.width - 1
            yield from wrapped(one, width, indent, "  ") if self._is_terminal else [indent + one]
            indent = "  "

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)
