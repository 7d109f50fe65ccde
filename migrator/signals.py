"""
The wish to stop: SIGINT, SIGTERM and SIGHUP, heard once and obeyed in order.

The first signal only asks; whoever waits or loops looks here and lays its work down. The second
one ends the process at once, and the ledger is still right, because it is right at every commit.
A signal that the process was born to ignore stays ignored: `nohup` sets SIGHUP so, and a shell sets
SIGINT so for what it runs in the background.
"""

import contextlib
import os
import signal
import sys
import time
from types import FrameType

from migrator.errors import Interrupted, RunAgain, StoppedEarly

# Every thread that pauses looks up at least this often.
LONGEST_NAP_SECONDS = 0.1


class Signals:
    """
    Whether the user wants to stop. Without `listen` nobody ever does.

    Args:
        next_step: What to type after the second signal.
    """

    def __init__(self, next_step: str = Interrupted.resume_with) -> None:
        self._farewell = f"\nStopped at once; what was committed is kept.\nnext: {next_step}\n"
        # Not an Event: setting one takes a lock that the very pause which the signal interrupts
        # may hold, and nothing but a SIGKILL would end that.
        self._signal: int | None = None
        self._is_cut_off = False

    def listen(self) -> None:
        """Take over SIGINT, SIGTERM and SIGHUP of this process."""
        for number, heard in (
            (signal.SIGINT, self._hear),
            (signal.SIGTERM, self._hear),
            (signal.SIGHUP, self._hear_the_terminal_close),
        ):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, heard)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            # Not through the stream, which the signal may have interrupted at its work.
            with contextlib.suppress(OSError, ValueError):
                os.write(sys.stderr.fileno(), self._farewell.encode())
            # Not sys.exit: threads that wait for an answer would keep the process.
            os._exit(128 + number)
        self._signal = number

    def _hear_the_terminal_close(self, number: int, frame: FrameType | None) -> None:
        """It ends like SIGTERM. Shell and kernel both send it, so a second one is no insistence."""
        if self._signal is None:
            self._signal = signal.SIGTERM

    @property
    def is_wanted(self) -> bool:
        """Whether to lay the work down."""
        return self._signal is not None

    def pause(self, seconds: float) -> None:
        """
        Sleep, but hardly longer than until the user wants to stop.

        Raises:
            Interrupted: the user wants to stop.
            StoppedEarly: the work is over.
        """
        until = time.monotonic() + seconds
        self.check()
        while (left := until - time.monotonic()) > 0:
            if self._is_cut_off:
                raise StoppedEarly("The work was over.", RunAgain(after=" to go on"))
            time.sleep(min(left, LONGEST_NAP_SECONDS))
            self.check()

    def cut_off(self) -> None:
        """The work is over: no thread of it is to wait for anything any more."""
        self._is_cut_off = True

    def check(self) -> None:
        """
        Go on only while nobody wants to stop.

        Raises:
            Interrupted: the user wants to stop.
        """
        if self._signal is not None:
            raise Interrupted(
                "Interrupted; everything done so far is kept.",
                RunAgain(after=" to go on"),
                self._signal,
            )
