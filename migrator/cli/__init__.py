"""
The command line: words to calls, and errors to words and exit codes.

This is the only place that does either. It decides nothing about contacts.
"""

import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from migrator.cli.parser import parse
from migrator.errors import ExitCode

if TYPE_CHECKING:
    from migrator.progress import Display


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Args:
        argv: Its words without the program's name; `None` = those of this process.

    Returns:
        The exit code (design, section 8).
    """
    _open_streams()
    display = None
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
        if args is None:
            return ExitCode.DONE
        # Only now: a call for help should not wait for libraries that it does not use.
        from migrator.cli.log_setup import begin
        from migrator.cli.output_files import refuse_ledger_files

        refuse_ledger_files(args)
        display = begin(args)
        code: int = args.run(args, display)
        sys.stdout.flush()
    except BaseException as error:
        code = _failed(error, display)
    if display is not None:
        from migrator.cli.log_setup import end

        end(code)
    return code


def _failed(error: BaseException, display: "Display | None") -> int:
    """Say what went wrong, and what to type next."""
    from migrator.cli.log_setup import place_of
    from migrator.cli.os_errors import as_migrator_error
    from migrator.progress import Display, redirect_to_devnull

    display = display or Display(sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        # Only where nothing is at work on a ledger: those commands take their signals themselves.
        # Whoever insists while this process ends is to see no traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        display.error("Interrupted.", "run the same command again")
        return ExitCode.SIGINT
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has left (`migrator report | head`); nothing of ours failed.
        redirect_to_devnull(sys.stdout)
        return ExitCode.DONE
    if not isinstance(error, Exception):
        raise error
    if (failure := as_migrator_error(error)) is not None:
        display.error(failure.message, failure.hint)
        if isinstance(error, OSError):
            redirect_to_devnull(sys.stdout)
        return failure.exit_code
    display.error(
        f"This is a bug in migrator: {type(error).__name__} ({place_of(error)}).",
        "run it again with -v, and report what it prints and what migrator --version says; "
        "the ledger is as it was committed",
    )
    return ExitCode.BUG


def _open_streams() -> None:
    """A process may be born without them (`2>&-`); what is said then goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Open for as long as the process lives.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    # A terminal or a pipe that cannot show a character is no reason to fail after the work is done.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
