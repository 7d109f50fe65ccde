"""
The command line: parses arguments, runs the command, and turns errors into messages and exit codes.

Nothing here decides what happens to a contact.
"""

import io
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from migrator.cli.failures import as_migrator_error
from migrator.cli.parser import COMMANDS, parse
from migrator.errors import ExitCode, MigratorError
from migrator.rehearse.folder import remove_abandoned
from migrator.signals import end_by_all, interrupt_by_all
from migrator.state_folder import state_folder

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
    interrupt_by_all()
    try:
        remove_abandoned(state_folder(os.environ))
        args = parse(words)
        if args is None:
            return ExitCode.DONE
        # Imported here, so that `--help` does not load them.
        from migrator.cli.log_setup import begin
        from migrator.cli.output_files import refuse_ledger_files

        refuse_ledger_files(args)
        display = begin(args)
        if getattr(args, "die_with_parent", False):
            _end_with_parent(display)
        code: int = args.run(args, display)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has exited (`migrator report | head`); that is not a failure.
        code = ExitCode.DONE
    except (Exception, KeyboardInterrupt) as error:
        end_by_all()
        failure = as_migrator_error(error)
        code = failure.exit_code
        _print_failure(failure, display, _command(args, words), is_json="--json" in words)
    end_by_all()
    _drop_unwritten_output()
    if display is not None:
        from migrator.cli.log_setup import end

        end(code)
    return code


def _end_with_parent(display: "Display") -> None:
    from migrator.parent_process import end_with_parent

    if not end_with_parent():
        display.say("warning: --die-with-parent has no effect: this system cannot do that")
    interrupt_by_all()  # a SIGTERM that was ignored until now has its default


def _command(args: Namespace | None, words: Sequence[str]) -> str | None:
    """The command, also where its other arguments are wrong; `None` = it is not one of ours."""
    names = [one.name for one in COMMANDS]
    return getattr(args, "command", None) or next((one for one in words[:1] if one in names), None)


def _print_failure(
    failure: MigratorError, display: "Display | None", command: str | None, *, is_json: bool
) -> None:
    """Print the error and the next command, with `--json` also as the last line on stdout."""
    from migrator.progress import Display

    (display or Display(sys.stderr)).error(failure.message, failure.hint)
    if is_json:
        from migrator.cli.session import tell_result

        told = {**failure.counters, "message": failure.message, "next": failure.hint}
        with suppress(OSError, ValueError):
            tell_result(command, failure.exit_code, told)


def _drop_unwritten_output() -> None:
    """Drop what stdout does not take: Python flushes again at exit, and would exit with 120."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        from migrator.streams import redirect_to_devnull

        redirect_to_devnull(sys.stdout)


def _open_streams() -> None:
    """
    Replace closed standard streams (`2>&-`) by /dev/null, and make stdout's encoding lenient.

    Where COLUMNS is 0, the terminal says how wide it is.
    """
    # rich would print nothing at that width.
    if not os.environ.get("COLUMNS", "").strip("0"):
        os.environ.pop("COLUMNS", None)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Open for as long as the process lives.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    # A character that the output cannot encode must not fail a command whose work is done.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
