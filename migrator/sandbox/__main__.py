"""
A sandbox for a parent process: `python -m migrator.sandbox`; it ends with its stdin.

Its first line on stdin is an object with options of `Sandbox`, each further one a lead that it has
from the start, `{"id": …, "lead": {…}}`, up to an empty line. Then it answers with one line on
stdout: the environment variables that point a command at it.
"""

import gc
import json
import signal
import sys

from migrator.sandbox.sandbox import Sandbox


def main() -> None:
    """Serve until stdin ends, which it does at the latest with the parent process."""
    # The parent is told, and decides when it is over.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # What is kept has no cycles: looking through it for some takes seconds.
    gc.disable()
    if not (first := sys.stdin.readline()).endswith("\n"):
        return  # the parent is dead, as below
    with Sandbox(**json.loads(first)) as sandbox:
        for line in iter(sys.stdin.readline, "\n"):
            if not line.endswith("\n"):
                return
            lead = json.loads(line)
            sandbox.give_lead_ids(lead["id"])
            sandbox.add_lead(lead["lead"])
        print(json.dumps(sandbox.environment()), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
