"""
The command line: parses arguments, runs the command, and turns errors into messages and exit codes.

Nothing here decides what happens to a contact.
"""

import io
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
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
        argv: The arguments without the program's name; `None` = those of this process.

    Returns:
        The exit code (design, section 8).
    """
    _open_streams()
    words = sys.argv[1:] if argv is None else argv
    display = args = None
    try:
        args = parse(words)
        if args is None:
            return ExitCode.DONE
        # Imported here, so that `--help` does not load them.
        from migrator.cli.log_setup import begin
        from migrator.cli.output_files import refuse_ledger_files

        refuse_ledger_files(args)
        display = begin(args)
        code: int = args.run(args, display)
        sys.stdout.flush()
    except BaseException as error:
        code, message, hint = _failed(error, display)
        if message and "--json" in words and not getattr(args, "is_told", False):
            _tell_end(args, code, message, hint)
    if display is not None:
        from migrator.cli.log_setup import end

        end(code)
    return code


def _failed(error: BaseException, display: "Display | None") -> tuple[int, str, str]:
    """Print the error and the next command; return them after the exit code."""
    from migrator.cli.log_setup import place_of
    from migrator.cli.os_errors import as_migrator_error
    from migrator.progress import Display, redirect_to_devnull

    display = display or Display(sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        # Commands that write to a ledger handle their signals themselves, and do not get here.
        # A second Ctrl-C while this process exits should print no traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        display.error("Interrupted.", "run the same command again")
        return ExitCode.SIGINT, "Interrupted.", "run the same command again"
    if isinstance(error, BrokenPipeError):
        # The reader of our output has exited (`migrator report | head`); that is not a failure.
        redirect_to_devnull(sys.stdout)
        return ExitCode.DONE, "", ""
    if not isinstance(error, Exception):
        raise error
    if (failure := as_migrator_error(error)) is not None:
        display.error(failure.message, failure.hint)
        if isinstance(error, OSError):
            redirect_to_devnull(sys.stdout)
        return failure.exit_code, failure.message, failure.hint
    message = f"This is a bug in migrator: {type(error).__name__} ({place_of(error)})."
    hint = (
        "run it again with -v, and report what it prints and what migrator --version says; "
        "the ledger is as it was committed"
    )
    display.error(message, hint)
    return ExitCode.BUG, message, hint


def _tell_end(args: Namespace | None, code: int, message: str, hint: str) -> None:
    """
    Print the end of a failed command as JSON, with its error and the next command.

    `args.counters`, where a command that works on a ledger has left it, is what it did before. A
    command whose own JSON document says how it ended sets `args.is_told`; then this is not called.
    """
    from migrator.cli.session import tell_result

    fields = {**getattr(args, "counters", {}), "message": message, "next": hint}
    with suppress(OSError, ValueError):
        tell_result(getattr(args, "command", None), code, fields)


def _open_streams() -> None:
    """Replace closed standard streams (`2>&-`) by /dev/null, and make stdout's encoding lenient."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Open for as long as the process lives.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    # A character that the output cannot encode must not fail a command whose work is done.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
