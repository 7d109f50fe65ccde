"""
The processes below this one, by `/proc` (Linux): who started whom, where, when, and the end of all.

`adopt_orphans` makes this process the parent of every descendant whose own parent ends. So whatever
a program starts, in whatever session or process group, is still below it and can be killed.
"""

import ctypes
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class RunningProcess:
    """
    A process that has not ended.

    Args:
        began: When it was forked, in seconds on `CLOCK_BOOTTIME`.
    """

    pid: int
    parent: int
    began: float


def adopt_orphans() -> None:
    """
    Become the parent of descendants that lose theirs.

    Raises:
        OSError: the kernel does not do that.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def running() -> dict[int, RunningProcess]:
    """All processes of the machine by their id, without those that have ended (zombies)."""
    found = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has just ended
                # After the command's name, which may hold anything: state, parent, …, start.
                state, parent, *rest = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                if state not in (b"Z", b"X"):
                    pid = int(entry.name)
                    found[pid] = RunningProcess(pid, int(parent), int(rest[17]) / _TICKS)
    return found


def descendants(pid: int) -> list[RunningProcess]:
    """All running processes below a process."""
    every = running()
    below, found = {pid}, list[RunningProcess]()
    while more := [one for one in every.values() if one.parent in below and one.pid not in below]:
        below |= {one.pid for one in more}
        found += more
    return found


def working_in(folder: Path, word: str) -> list[RunningProcess]:
    """The processes below this one that work in that folder, with that word in their arguments."""
    found = []
    for one in descendants(os.getpid()):
        with suppress(OSError):
            words = (_PROC / str(one.pid) / "cmdline").read_bytes().split(b"\0")
            where = (_PROC / str(one.pid) / "cwd").readlink()
            if word.encode() in words and where == folder:
                found.append(one)
    return found


def send(number: signal.Signals, *pids: int) -> None:
    """Send a signal to each that has not ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_all() -> None:
    """Kill everything below this process; `adopt_orphans` was called."""
    while below := descendants(os.getpid()):
        send(signal.SIGKILL, *(one.pid for one in below))
        time.sleep(0.02)
