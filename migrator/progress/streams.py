"""
Streams that show what they can: one that is closed, full or too poor for a character stops nobody.

It owns what goes to stdout and how a stream is let go of. It knows nothing of what is said.
"""

import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from rich.console import Console

from migrator.text import strip_control


def tell(text: str) -> None:
    """
    Print a result on stdout, where data goes; whoever has values in it made each one line.

    That nobody reads it any more (`| head`) changes nothing of how the command went.
    """
    try:
        print(encodable(strip_control(text), sys.stdout.encoding or "utf-8"), flush=True)
    except BrokenPipeError:
        redirect_to_devnull(sys.stdout)


def encodable(text: str, encoding: str) -> str:
    """The text as far as an encoding has characters for it."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("·", "-").replace("…", "...")
        return text.encode(encoding, "replace").decode(encoding)
    return text


def redirect_to_devnull(stream: TextIO) -> None:
    """Let a stream that nobody can read lead nowhere."""
    # Python flushes once more at its end, and would turn the exit code into 120.
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def is_writable_now(stream: TextIO) -> bool:
    """
    Whether a stream takes a line without anybody having to read first.

    A pipe that is full would keep whoever writes to it, and a push with it, until it is read.
    """
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return bool(poll.poll(0))  # one that is broken says so too, and is found out by writing
    except (OSError, ValueError):
        return True  # it is no file at all


class QuietConsole(Console):
    """A console of rich's that leaves the cursor alone."""

    def show_cursor(self, show: bool = True) -> bool:
        """Do nothing: a cursor hidden by a process that is killed would stay hidden."""
        return False


class SafeStream:
    """A stream that shows what it can, and is silent for good once it can show nothing more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Show the text, as far as it can be shown."""
        self._try(lambda: self._stream.write(encodable(text, self.encoding)))
        return len(text)

    def flush(self) -> None:
        """Show it now."""
        self._try(self._stream.flush)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError:
            # Nobody reads it, or there is no room: what is left in it would fail at the end again.
            redirect_to_devnull(self._stream)
        except ValueError:
            pass  # it is closed

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        with suppress(OSError, ValueError):
            return self._stream.isatty()
        return False

    def fileno(self) -> int:
        """Its descriptor; rich asks it for the width."""
        return self._stream.fileno()
