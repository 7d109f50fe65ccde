"""
Stopping on SIGINT, SIGTERM and SIGHUP.

Until a command listens, a signal raises KeyboardInterrupt. Then the first one sets a flag: loops
and pauses check it and stop in an orderly way. The second one exits at once, which is safe, as the
ledger is consistent after every commit. Signals that were ignored when the process started stay
ignored: `nohup` ignores SIGHUP, and a shell ignores SIGINT for its background jobs.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

from migrator.errors import Interrupted, RunAgain, StoppedEarly

# A thread that pauses checks the flag at least this often.
LONGEST_NAP_SECONDS = 0.1
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_by_all() -> None:
    """
    Have SIGTERM and SIGHUP raise KeyboardInterrupt(SIGTERM), and SIGINT one without a number.

    The default of the first two ends Python itself, without a message or a result. Only the first
    signal raises: the next one ends this process at once, as a traceback would say nothing, but
    SIGHUP, which shell and kernel both send. Only the main thread can ask for this; in another one
    nothing is done.
    """
    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, _end):
                signal.signal(number, _interrupt)


def end_by_all() -> None:
    """Have the next one end this process at once, as it exits."""
    for number in _ENDING:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, _end)


def _interrupt(number: int, frame: FrameType | None) -> None:
    end_by_all()
    raise KeyboardInterrupt(*(() if number == signal.SIGINT else (signal.SIGTERM,)))


def _end(number: int, frame: FrameType | None) -> None:
    # Not the default from the start: Python complains of a signal that came just before that.
    if number != signal.SIGHUP:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


class Signals:
    """
    The stop flag; it is set by signals after `listen`.

    Args:
        next_step: The command to print after the second signal.
        at_once: Called after the second signal, right before this process exits.
        result: An exit code and an error's fields -> the last line for stdout; `None` = none.
    """

    def __init__(
        self,
        next_step: str = Interrupted.resume_with,
        at_once: Callable[[], None] = lambda: None,
        result: Callable[[int, Mapping[str, str]], str] | None = None,
    ) -> None:
        self._at_once = at_once
        self._told = {"message": "Stopped at once; what was committed is kept.", "next": next_step}
        self._result = result
        # Not an Event: the handler interrupts the main thread, which may hold the Event's lock, so
        # that `set` would wait for ever.
        self._signal: int | None = None
        self._is_cut_off = False

    def listen(self) -> None:
        """Install handlers for SIGINT, SIGTERM and SIGHUP."""
        for number, handler in (
            (signal.SIGINT, self._on_signal),
            (signal.SIGTERM, self._on_signal),
            (signal.SIGHUP, self._on_hangup),
        ):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            # A third one would interrupt this, and begin it again.
            for one in (signal.SIGINT, signal.SIGTERM):
                signal.signal(one, signal.SIG_IGN)
            farewell = "\n{message}\nnext: {next}\n".format(**self._told)
            # Not with print: the signal may have interrupted the stream during a write.
            with contextlib.suppress(OSError, ValueError):
                os.write(sys.stderr.fileno(), farewell.encode())
            self._at_once()
            if self._result is not None:
                line = self._result(128 + number, self._told)
                with contextlib.suppress(OSError, ValueError):
                    poll = select.poll()
                    poll.register(sys.stdout.fileno(), select.POLLOUT)
                    if poll.poll(0):  # a full pipe would keep this process
                        os.write(sys.stdout.fileno(), f"{line}\n".encode())
            # Not sys.exit: it would wait for threads that wait for an answer.
            os._exit(128 + number)
        self._signal = number

    def _on_hangup(self, number: int, frame: FrameType | None) -> None:
        """Stop as after SIGTERM. A second SIGHUP is ignored: shell and kernel both send one."""
        if self._signal is None:
            self._signal = signal.SIGTERM

    @property
    def is_wanted(self) -> bool:
        """Whether to stop."""
        return self._signal is not None

    @property
    def number(self) -> int | None:
        """The signal that wants it to stop: SIGINT or SIGTERM; `None` = none."""
        return self._signal

    def pause(self, seconds: float) -> None:
        """
        Sleep until the time is over or the user wants to stop.

        Raises:
            Interrupted: the user wants to stop.
            StoppedEarly: within `cut_off`.
        """
        until = time.monotonic() + seconds
        self.check()
        while (left := until - time.monotonic()) > 0:
            if self._is_cut_off:
                raise StoppedEarly("The work was over.", RunAgain(after=" to continue"))
            time.sleep(min(left, LONGEST_NAP_SECONDS))
            self.check()

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[None]:
        """End all pauses meanwhile, because what they are part of is ending."""
        self._is_cut_off = True
        try:
            yield
        finally:
            self._is_cut_off = False

    def check(self) -> None:
        """
        Raise if the user wants to stop.

        Raises:
            Interrupted: the user wants to stop.
        """
        if self._signal is not None:
            raise Interrupted(
                "Interrupted; everything done so far is kept.",
                RunAgain(after=" to continue"),
                self._signal,
            )
