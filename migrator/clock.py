"""A clock that goes on while the machine sleeps."""

import time

# Linux's monotonic clock stands still while the machine is suspended; that of macOS does too, and
# there is no other one that Python could ask.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def awake_or_asleep() -> float:
    """Seconds since a fixed moment, including those of a suspended machine."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
