"""
Turns every exception into a MigratorError: a message, the next command, and an exit code.

What the operating system refuses (space for output, threads, memory, open files) can be resumed;
anything else that is not a MigratorError is a bug.
"""

import errno
import signal

from migrator.errors import Interrupted, MigratorError, RunAgain, StoppedEarly

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_NO_FILES = {errno.EMFILE, errno.ENFILE}


def as_migrator_error(error: BaseException) -> MigratorError:
    """The error to print; the traceback of a bug is logged."""
    if isinstance(error, MigratorError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("Interrupted.", RunAgain(), *(error.args or (signal.SIGINT,)))
    # Python has no exception class for a thread that cannot be started.
    is_thread = isinstance(error, RuntimeError) and "start new thread" in str(error)
    if is_thread or isinstance(error, MemoryError):
        return StoppedEarly(
            f"This process cannot get more {'threads' if is_thread else 'memory'}.",
            RunAgain("raise its limit (ulimit -a), or use fewer --workers, then "),
        )
    if isinstance(error, OSError) and error.errno in _NO_FILES:
        return StoppedEarly(
            "This process has reached its limit of open files.",
            RunAgain("ulimit -n 256, then "),
        )
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return StoppedEarly(
            f"The output could not be written: {error.strerror}.",
            "migrator report; everything that was done is in the ledger",
        )
    # Imported here because few command lines need it.
    from migrator.cli.log_setup import place_of

    return MigratorError(
        f"This is a bug in migrator: {type(error).__name__} ({place_of(error)}).",
        "run it again with -v, and report what it prints and what migrator --version says; "
        "the ledger is as it was committed",
    )
