"""
A process that holds a fence: `python -m tests.support.fence_holder URL LEASE`.

It says "epoch N" when it holds, and for each "check" on its standard input "held" or "lost". With
"stop" instead it stops itself (SIGSTOP) in `check`, after the answer and before its age is taken.
"""

import os
import signal
import sys
import time

from migrator.errors import FenceLost
from migrator.journey.fence import Fence


class Clock:
    """The fence's clock; it can stop this process when `check` looks at it."""

    is_armed = False

    def __call__(self) -> float:
        if self.is_armed and sys._getframe(1).f_code.co_name == "check":
            self.is_armed = False
            os.kill(os.getpid(), signal.SIGSTOP)
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def main() -> None:
    clock = Clock()
    url, lease = sys.argv[1:]
    fence = Fence.hold(url, "journey", lease_seconds=float(lease), clock=clock)
    print("epoch", fence.epoch, flush=True)
    for line in sys.stdin:
        clock.is_armed = line == "stop\n"
        try:
            fence.check()
        except FenceLost:
            print("lost", flush=True)
        else:
            print("held", flush=True)


if __name__ == "__main__":
    main()
