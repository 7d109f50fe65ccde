"""
What a process costs: seconds, CPU seconds, and the most memory that it held at once.

Owns how a process is started and awaited for its figures. The kernel counts the memory of the one
who starts a process as that process's own, so nothing is imported here, or by whoever measures with
it, but the standard library.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_KILOBYTES_IN_A_MEGABYTE = 1024
_NAP_SECONDS = 0.02
# An audit of a million contacts prints half a gigabyte, and only its end is read here.
_LONGEST_TEXT = 100_000


class Failed(Exception):
    """A process that is measured did not end as it must; the message quotes it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What one process took, and what it said.

    Args:
        began: Wall clock in seconds since the epoch, just before it was started.
        cpu_seconds: Of the process and all that it waited for, in user mode and in the kernel.
        peak_mb: The most memory that was resident at once, in MiB.
        code: As it ended; a negative one is the signal that ended it.
        out, err: The end of what it said.
    """

    began: float
    seconds: float
    cpu_seconds: float
    peak_mb: float
    code: int
    out: str
    err: str


class Running:
    """A process that was started. Its output goes to files: nobody reads along."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self._command = command
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has been read
        self._err = tempfile.TemporaryFile()  # noqa: SIM115
        self._cost: Cost | None = None
        self._began = (time.time(), time.monotonic())
        self._process = subprocess.Popen(  # noqa: S603 - our own command, with our own words
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
        )

    def kill(self, signal_number: int = signal.SIGKILL) -> Cost:
        """End it by force, unless it has ended."""
        if self._cost is None:
            os.kill(self._process.pid, signal_number)
        return self.wait()

    def wait_for(self, seconds: float) -> bool:
        """Wait so long at most; whether it is still alive then."""
        deadline = time.monotonic() + seconds
        while self._cost is None and time.monotonic() < deadline:
            if not self._reaped(os.WNOHANG):
                time.sleep(_NAP_SECONDS)
        return self._cost is None

    def wait(self) -> Cost:
        """Wait until it ends; what it cost."""
        while self._cost is None:
            self._reaped(0)
        return self._cost

    def ended(self, allowed: Sequence[int] = (0,)) -> Cost:
        """
        Wait until it ends by itself; what it cost.

        Raises:
            Failed: it ended with another code than it may.
        """
        cost = self.wait()
        if cost.code not in allowed:
            words = " ".join(self._command)
            raise Failed(f"`{words}` ended with {cost.code}: {cost.err.strip()[-800:]}")
        return cost

    def _reaped(self, options: int) -> bool:
        pid, status, used = os.wait4(self._process.pid, options)
        if pid == 0:
            return False
        wall, monotonic = self._began
        self._process.returncode = os.waitstatus_to_exitcode(status)  # else it would be awaited
        self._cost = Cost(
            wall,
            time.monotonic() - monotonic,
            used.ru_utime + used.ru_stime,
            used.ru_maxrss / _KILOBYTES_IN_A_MEGABYTE,
            self._process.returncode,
            _text(self._out),
            _text(self._err),
        )
        return True


def run(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    allowed: Sequence[int] = (0,),
) -> Cost:
    """Run a process to its end; see `Running.ended`."""
    return Running(command, folder, environment).ended(allowed)


def _text(file: IO[bytes]) -> str:
    with file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LONGEST_TEXT))
        return file.read().decode(errors="replace")
