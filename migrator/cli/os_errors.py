"""
Operating-system errors as errors of ours: no space for output, no threads, no memory, no files.

Every other error that is not a MigratorError is a bug.
"""

import errno

from migrator.errors import MigratorError, StoppedEarly

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_NO_FILES = {errno.EMFILE, errno.ENFILE}


def as_migrator_error(error: BaseException) -> MigratorError | None:
    """The error to print; `None` = it is a bug."""
    if isinstance(error, MigratorError):
        return error
    # Python has no exception class for a thread that cannot be started.
    is_thread = isinstance(error, RuntimeError) and "start new thread" in str(error)
    if is_thread or isinstance(error, MemoryError):
        return StoppedEarly(
            f"The system gives this process no more {'threads' if is_thread else 'memory'}.",
            "raise its limit (ulimit -a), or use fewer --workers; a push goes on with --resume",
        )
    if isinstance(error, OSError) and error.errno in _NO_FILES:
        return StoppedEarly(
            "The system lets this process open no more files.",
            "ulimit -n 256, then run the same command again (a push: with --resume)",
        )
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return StoppedEarly(
            f"The output could not be written: {error.strerror}.",
            "migrator report; everything that was done is in the ledger",
        )
    return None
