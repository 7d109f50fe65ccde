"""
Ending with the process that started this one, where the kernel can see to it (Linux).

The kernel sends SIGTERM, not SIGKILL: the answers that are due are awaited and written, so nothing
is left in doubt, and the next start need not wait for `settle`. The ledger is right after either.

The kernel watches the *thread* that forked this process, not its process: a parent has to start
such children from its main thread.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> bool:
    """
    Have this process receive SIGTERM when its parent ends, or now if it has ended meanwhile.

    A parent with the id 1 means nothing: it is the first process of a container, or took over a
    child whose parent had ended before this was called.

    Returns:
        False: this system has no such thing, and nothing was done.
    """
    if not sys.platform.startswith("linux"):
        return False
    # Ignored by the process that started this one, it would do nothing, and stay so.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    before = os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        return False
    if os.getppid() != before:
        os.kill(os.getpid(), signal.SIGTERM)
    return True
