"""
A push that stops itself at a named place between an intent and its first byte, as by a freeze.

A stop from outside, by what a proxy or the ledger's file shows, comes some hundred microseconds
late, and may land behind the last look. The product has no hook for this: what is wrapped here are
some of its functions, in the frozen process alone.

Where its other threads are then, or all of them after a stop at a random moment, is watched: each
keeps a byte in a shared file that says whether it is between its last look at the fence and the
last byte of a send. What no fence can stop any more is there, and nowhere else.
"""

import signal
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.judge import Broken
from tests.support.processes import LONGEST_SECONDS, Process

_SENDER, _FENCE = "migrator.journey.sender", "migrator.journey.fence"
_LOCK, _TRANSPORT = "migrator.journey.journey_lock", "migrator.http.transport"
# In the order of the way of an intent: module, class and method, whether to stop before or after
# its call, and in which threads.
PLACES = {
    "its intent is committed": (_SENDER, "Sender", "record_intents", "before", "MainThread"),
    "before it connects": (_TRANSPORT, "MarksDeparture", "request", "before", "send"),
    "in the check of the locks": (_LOCK, "JourneyLock", "is_in_place", "before", "send"),
    "asking the fence": (_FENCE, "Fence", "_loss", "before", "send"),
    "the age of the answer is next": (_FENCE, "Fence", "_ask_anew", "after", "send"),
}
WITHOUT_A_FENCE = list(PLACES)[:3]

_STOPPING = """
import os, signal, threading
from {module} import {owner}
_wrapped, _left = {owner}.{name}, {number}
def _stop():
    global _left
    if threading.current_thread().name.startswith({thread!r}):
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
def _stopping(*args, **options):
    if {when!r} != "after":
        _stop()
    answer = _wrapped(*args, **options)
    if {when!r} == "after":
        _stop()
    return answer
{owner}.{name} = _stopping
"""

_WATCHING = """
import mmap, threading
from migrator.http.transport import MarksDeparture
from migrator.journey.fence import Fence
with open({file!r}, "w+b") as _file:
    _file.truncate(mmap.PAGESIZE)
    _behind = mmap.mmap(_file.fileno(), mmap.PAGESIZE)
_asked, _requested = Fence._ask_anew, MarksDeparture.request
def _mark(is_behind):
    name = threading.current_thread().name
    if name.startswith("send"):
        _behind[int(name.rpartition("_")[2])] = is_behind
def _asking(self):
    _mark(False)
    answer = _asked(self)
    _mark(True)
    return answer
def _requesting(*args, **options):
    try:
        _requested(*args, **options)
    finally:
        _mark(False)
Fence._ask_anew, MarksDeparture.request = _asking, _requesting
"""


def watched(file: Path) -> str:
    """
    Lines for `hostile_process.deceived`: tell in a file which threads are behind their last look.

    They go behind those of `stopping_at`.
    """
    return _WATCHING.format(file=str(file))


def threads_behind(file: Path) -> int:
    """How many threads of a stopped process are between the last look and the last byte."""
    return sum(file.read_bytes())


def stopping_at(place: str, number: int) -> str:
    """Lines for `hostile_process.deceived`: stop when the place is reached for that time."""
    names = ("module", "owner", "name", "when", "thread")
    return _STOPPING.format(number=number, **dict(zip(names, PLACES[place], strict=True)))


def wait_until_stopped(process: Process) -> bool:
    """Wait for a process to be stopped; False = it has ended instead."""
    until = time.monotonic() + LONGEST_SECONDS
    while process.poll() is None:
        with suppress(OSError):  # it has just ended
            # After the command's name, which may hold anything: the state.
            if Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                return True
        if time.monotonic() > until:
            process.send_signal(signal.SIGKILL)
            raise Broken("the push neither stopped itself nor ended")
        time.sleep(0.005)
    return False
