"""
The command line: words to calls, and errors to words and exit codes.

This is the only place that does either. It decides nothing about contacts.
"""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from migrator.cli.parser import build_parser
from migrator.errors import ExitCode


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Args:
        argv: Its words without the program's name; `None` = those of this process.

    Returns:
        The exit code (design, section 8).
    """
    _open_streams()
    args = build_parser().parse_args(argv)
    # Only now: a call for help should not wait for libraries that it does not use.
    from migrator.cli.commands import run
    from migrator.cli.failures import in_words
    from migrator.cli.logs import log_to, place_of
    from migrator.console import Talk, let_go

    is_json = getattr(args, "json", False)
    talk = Talk(sys.stderr, quiet=args.quiet, verbose=args.verbose, as_json=is_json)
    log_to(sys.stderr if args.verbose else None)
    # A terminal or a pipe that cannot show a character is no reason to fail after the work is done.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        code = run(args, talk)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        # Only where nothing is at work on a ledger: those commands take their signals themselves.
        talk.error("Interrupted.", "run the same command again")
        return ExitCode.SIGINT
    except BrokenPipeError:
        # Whoever read our output has left (`migrator report | head`); nothing of ours failed.
        let_go(sys.stdout)
        return ExitCode.DONE
    except Exception as error:
        if (failure := in_words(error)) is not None:
            talk.error(failure.message, failure.hint)
            if isinstance(error, OSError):
                let_go(sys.stdout)
            return failure.exit_code
        talk.error(
            f"This is a bug in migrator: {type(error).__name__} ({place_of(error)}).",
            "run it again with -v and report what it prints; the ledger is as it was committed",
        )
        return ExitCode.BUG


def _open_streams() -> None:
    """A process may be born without them (`2>&-`); what is said then goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Open for as long as the process lives.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
