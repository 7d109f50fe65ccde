"""The sandbox command: prints the settings to paste, serves until stopped, prints the verdict."""

import shlex
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from migrator.sandbox.sandbox import Sandbox


def run(sandbox_kwargs: Mapping[str, Any], out: TextIO) -> int:
    """
    Serve until SIGINT or SIGTERM; must be called in the main thread.

    Args:
        sandbox_kwargs: Options of `Sandbox`.
        out: Receives the export lines and, at the end, the verdict.

    Returns:
        0, with any verdict.
    """
    with _stop_on_signal() as stopped, Sandbox(**sandbox_kwargs) as sandbox:
        _print_welcome(sandbox, out)
        stopped.wait()
    print(f"\nVerdict: {sandbox.verdict()}", file=out, flush=True)
    return 0


def _print_welcome(sandbox: Sandbox, out: TextIO) -> None:
    print(f"# A sandbox of HubSpot and LeadGenius listens on {sandbox.url}", file=out)
    print(
        "# Paste this into another terminal or a file .env; then: migrator stage && migrator push",
        file=out,
    )
    for name, value in sandbox.environment().items():
        print(f"export {name}={shlex.quote(value)}", file=out)
    print("# Ctrl-C stops it and prints the verdict.", file=out, flush=True)


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    stopped = threading.Event()
    former = {
        number: signal.signal(number, lambda *_: stopped.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stopped
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
