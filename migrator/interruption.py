"""
The wish to stop: SIGINT and SIGTERM, heard once and obeyed in order.

The first signal only asks; whoever waits or loops looks here and lays its work down. The second
one ends the process at once, and the ledger is still right, because it is right at every commit.
"""

import os
import signal
import threading
from types import FrameType

from migrator.errors import Interrupted


class Interruption:
    """Whether the user wants to stop. Without `listen` nobody ever does."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._signal: int | None = None

    def listen(self) -> None:
        """Take over SIGINT and SIGTERM of this process."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._event.is_set():
            # Not sys.exit: threads that wait for an answer would keep the process.
            os._exit(128 + number)
        self._signal = number
        self._event.set()

    @property
    def is_wanted(self) -> bool:
        """Whether to lay the work down."""
        return self._event.is_set()

    def pause(self, seconds: float) -> None:
        """
        Sleep, but no longer than until the user wants to stop.

        Raises:
            Interrupted: the user wants to stop.
        """
        self._event.wait(seconds)
        self.check()

    def check(self) -> None:
        """
        Go on only while nobody wants to stop.

        Raises:
            Interrupted: the user wants to stop.
        """
        if self._signal is not None:
            raise Interrupted(
                "Interrupted; everything done so far is kept.",
                "run the same command again to go on",
                self._signal,
            )
