"""Exit codes of children -> when to try again, and the exit code of the fleet. Pure functions."""

import signal

from migrator.errors import ExitCode

_RETRIED = {ExitCode.STOPPED_EARLY, ExitCode.BUSY, ExitCode.BUG}
LONGEST_DELAY_MINUTES = 64.0


def retry_delay_minutes(
    code: int, failures: int, minutes_since_first: float, retry_for_minutes: float
) -> float | None:
    """
    How long to wait before a journey is tried again.

    Args:
        code: Of its last try, as a shell gives it: 128 and the number of the signal that ended it.
        failures: How many tries in a row have ended so, this one included.
        minutes_since_first: How long ago the first of them ended.

    Returns:
        1, 2, 4, … minutes; `None` = it is not tried again: it is done, it needs a person (2, 3, 5),
        or the next try would begin after `retry_for_minutes`.
    """
    if code not in _RETRIED and code <= 128:
        return None
    delay = min(2.0 ** min(failures - 1, 16), LONGEST_DELAY_MINUTES)
    return delay if minutes_since_first + delay <= retry_for_minutes else None


def shell_code(returncode: int) -> int:
    """The exit code of a process as a shell gives it: 128 and the number for a signal."""
    return 128 - returncode if returncode < 0 else returncode


def exit_code_of(code: int) -> ExitCode:
    """
    What a journey's last code counts as in the fleet's.

    A process that was killed can be resumed like one that stopped early; an unknown code is a bug.
    """
    if code in {*ExitCode}:
        return ExitCode(code)
    is_signal = 128 < code <= 128 + signal.NSIG
    return ExitCode.STOPPED_EARLY if is_signal else ExitCode.BUG
