"""
Output streams that never fail: closed, full, or without a character in their encoding.
"""

import os
import select
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, TextIO

from rich.console import Console

from migrator.text import strip_control


def tell(*texts: str) -> None:
    """
    Print results on stdout, each on a line.

    A closed pipe (`| head`) is no failure of the command.
    """
    try:
        encoding = sys.stdout.encoding or "utf-8"
        print(*(encodable(strip_control(text), encoding) for text in texts), sep="\n", flush=True)
    except BrokenPipeError:
        redirect_to_devnull(sys.stdout)


_IN_ASCII = str.maketrans({"·": "-", "…": "..."})


def encodable(text: str, encoding: str, in_ascii: Mapping[int, str] = _IN_ASCII) -> str:
    """
    The text, with characters replaced that the encoding lacks.

    Args:
        in_ascii: What stands for some of them, as `str.maketrans` makes it.
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(in_ascii).encode(encoding, "replace").decode(encoding)
    return text


def redirect_to_devnull(stream: IO[str]) -> None:
    """Redirect a stream without a reader to the null device."""
    # Python flushes once more at its end, and would turn the exit code into 120.
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def is_writable_now(stream: TextIO) -> bool:
    """
    Whether a line can be written without blocking.

    Writing to a full pipe would block the push until it is read.
    """
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return bool(poll.poll(0))  # also true for a broken one; writing then fails
    except (OSError, ValueError):
        return True  # it has no descriptor


class QuietConsole(Console):
    """A rich console that never hides the cursor."""

    def show_cursor(self, show: bool = True) -> bool:
        """Do nothing: a cursor hidden by a process that is killed would stay hidden."""
        return False


class SafeStream:
    """A stream that writes what it can, and becomes silent when it fails."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write the text, as far as possible."""
        self._try(lambda: self._stream.write(encodable(text, self.encoding)))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._try(self._stream.flush)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError:
            # No reader, or a full disk: flushing the rest at the end would fail again.
            redirect_to_devnull(self._stream)
        except ValueError:
            pass  # it is closed

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with suppress(OSError, ValueError):
            return self._stream.isatty()
        return False

    def fileno(self) -> int:
        """Its descriptor, from which rich reads the width."""
        return self._stream.fileno()
