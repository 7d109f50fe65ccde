"""
A sandbox in a process of its own, which ends with this one.

It listens on the loopback device only and is given invented credentials, and none of the user's.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from migrator.child_process import environment


@contextmanager
def sandbox_process(
    folder: Path, options: Mapping[str, Any], leads: Iterable[tuple[str, dict[str, Any]]]
) -> Iterator[dict[str, str]]:
    """
    Run a sandbox for as long as the block.

    Args:
        folder: Its working directory.
        options: The keyword arguments of `Sandbox`.
        leads: The leads that it has from the start, each with its id.

    Yields:
        The environment variables that point a command at it.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "migrator.sandbox"],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        yield _begin(process, options, leads)
    finally:
        process.kill()
        process.communicate()


def _begin(
    process: subprocess.Popen[str],
    options: Mapping[str, Any],
    leads: Iterable[tuple[str, dict[str, Any]]],
) -> dict[str, str]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the sandbox cannot be told anything")
    with suppress(BrokenPipeError):  # then it does not answer
        process.stdin.write(json.dumps(dict(options)) + "\n")
        for lead_id, lead in leads:
            process.stdin.write(json.dumps({"id": lead_id, "lead": lead}) + "\n")
        process.stdin.write("\n")
        process.stdin.flush()
    if not (answer := process.stdout.readline()):
        raise RuntimeError("the sandbox did not start")
    told: dict[str, str] = json.loads(answer)
    return told
