"""A push of the rehearsal in a process of its own, which is killed in its middle."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from migrator.child_process import environment


def kill_push(
    words: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    is_due: Callable[[], bool],
    wait: Callable[[], None],
) -> None:
    """
    Start a command, and kill it with SIGKILL when it is time, if it has not ended before.

    Args:
        words: The command line after `migrator`.
        folder: Its working directory.
        variables: Its environment, beside what is not of accounts and ledgers.
        wait: Called between two looks; it may raise to stop, and the command is killed then, too.
    """
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "migrator", *words],
        cwd=folder,
        env={**environment(), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            while process.poll() is None and not is_due():
                wait()
        finally:
            process.kill()
