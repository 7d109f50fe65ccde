"""A clock that goes on while the machine sleeps, and which boot of the machine it counts from."""

import time
from pathlib import Path

# Linux's monotonic clock stands still while the machine is suspended; that of macOS does too, and
# there is no other one that Python could ask.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def awake_or_asleep() -> float:
    """Seconds since the machine's boot, including those of a suspended machine."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


def boot_id() -> str:
    """The id of this boot of the machine; "" = not known, so no other one is the same."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
