"""One child process of a fleet, and what it prints."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from migrator.fleet.schedule import shell_code

_LONGEST_TAIL = 4_000  # characters of its messages, for a child that printed no result
_LONGEST_DOCUMENT = 4_000_000  # bytes of what `report` prints


class ChildProcess:
    """
    A running command of a journey. It must be started from the main thread: see `parent_process`.

    Args:
        words: The command line after `migrator`.
        is_paced: Whether it asks this process for its pace.

    Attributes:
        pace: Our end of the socket over which it asks; `None` = it does not.

    Raises:
        OSError: it cannot be started: the folder is gone, or there are too many processes.
        ValueError: a word cannot be passed to any process.
    """

    def __init__(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], *, is_paced: bool
    ) -> None:
        theirs: socket.socket | None = None
        self.pace: socket.socket | None = None
        if is_paced:
            self.pace, theirs = socket.socketpair()
            words = [*words, "--pace-from", str(theirs.fileno())]
        try:
            # -P: a folder must not be able to replace our modules by files of its own.
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", "migrator", *words],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=() if theirs is None else (theirs.fileno(),),
                # Ctrl-C of the terminal is for this process, which hands it on, once.
                process_group=0,
            )
        except (OSError, ValueError):
            if self.pace is not None:
                self.pace.close()
            raise
        finally:
            if theirs is not None:
                theirs.close()
        assert self._process.stdout is not None and self._process.stderr is not None  # noqa: S101
        self.stdout, self.stderr = self._process.stdout, self._process.stderr
        for stream in (self.stdout, self.stderr):
            os.set_blocking(stream.fileno(), False)
        self._line = b""
        self._questions = b""
        self._out = b""
        self._tail = ""
        self.newest: Mapping[str, Any] = {}

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """How it ended, as a shell gives it; `None` = it is running."""
        returncode = self._process.poll()
        return None if returncode is None else shell_code(returncode)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        self._process.send_signal(number)

    def read_stdout(self) -> bool:
        """Read what it printed, and keep its newest object; `False` = nothing is there now."""
        content = _read(self.stdout.fileno())
        self._out = (self._out + content)[-_LONGEST_DOCUMENT:]
        *lines, self._line = (self._line + content).split(b"\n")
        for line in lines:
            self.newest = _object(line) or self.newest
        return content != b""

    def read_stderr(self) -> bool:
        """Read its messages, and keep the last of them; `False` = nothing is there now."""
        content = _read(self.stderr.fileno())
        self._tail = (self._tail + content.decode("utf-8", "replace"))[-_LONGEST_TAIL:]
        return content != b""

    def questions(self) -> list[list[Any]] | None:
        """What it asked the rate limiter since; `None` = it has closed its end."""
        assert self.pace is not None  # noqa: S101
        try:
            content = self.pace.recv(65_536)
        except OSError:
            content = b""
        if not content:
            return None
        *lines, self._questions = (self._questions + content).split(b"\n")
        return [json.loads(line) for line in lines]

    def answer(self, values: list[Any]) -> None:
        """Answer a question; a child that has ended is ignored."""
        assert self.pace is not None  # noqa: S101
        try:
            self.pace.sendall(json.dumps(values).encode() + b"\n")
        except OSError:
            return

    @property
    def has_answered(self) -> bool:
        """Whether it printed more than progress: a result, or a document too long to keep."""
        return bool(self._out) and self.newest.get("event") != "progress"

    def result(self) -> tuple[Mapping[str, Any], str]:
        """What it printed at its end, and the end of its messages if that was no result."""
        while self.read_stdout():
            pass
        while self.read_stderr():
            pass
        # `report` prints one document of many lines.
        found = self.newest if self.newest.get("event") == "result" else _object(self._out)
        is_result = bool(found) and found.get("event", "result") == "result"
        return (found, "") if is_result else ({}, self._tail)

    def close(self) -> None:
        """Close what this process has of it; it has ended."""
        for one in (self.stdout, self.stderr, self.pace):
            if one is not None:
                one.close()


def _read(descriptor: int) -> bytes:
    """What is there; `b""` = nothing now, or nothing any more."""
    try:
        return os.read(descriptor, 65_536)
    except BlockingIOError:
        return b""


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
