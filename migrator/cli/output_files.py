"""Files that a command line wants written: none of them may be one of the ledger's own."""

import argparse
from pathlib import Path

from migrator.errors import UsageError
from migrator.text import one_line

# Each option that names a file to be written, by its attribute.
OPTIONS = {"html": "--html", "csv": "--csv", "log_file": "--log-file"}


def refuse_ledger_files(args: argparse.Namespace) -> None:
    """
    Look before anything is opened: a file that is not there yet would be the ledger's next one.

    Raises:
        UsageError: an option names the ledger, or a file that SQLite or its lock has beside it.
    """
    named = {option: getattr(args, name, None) for name, option in OPTIONS.items()}
    if not any(named.values()):
        return
    # Only now: most command lines name no file, and some need nothing of this.
    from migrator.cli.session import survey_of

    ledger = survey_of(args).settings.ledger
    for option, target in named.items():
        if target:
            refuse_ledger_file(ledger, Path(target), option)


def refuse_ledger_file(ledger: Path, target: Path, option: str) -> None:
    """
    Refuse one file, by whatever name or link it is reached.

    Args:
        option: What it was named by.

    Raises:
        UsageError: it is one of the ledger's.
    """
    from migrator.ledger import is_file_of

    if is_file_of(ledger, target):
        raise UsageError(
            f"{option}: {one_line(str(target))} is a file of the ledger {one_line(str(ledger))}.",
            f"name another file with {option}",
        )
