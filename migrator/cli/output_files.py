"""Refuses to write an output file over one of the ledger's files."""

import argparse
from pathlib import Path

from migrator.errors import NotReady, UsageError
from migrator.text import one_line

# The options that name a file to write, by attribute.
OPTIONS = {"html": "--html", "csv": "--csv", "log_file": "--log-file"}


def refuse_ledger_files(args: argparse.Namespace) -> None:
    """
    Check all output options, before anything is opened: a missing file could become the ledger's.

    Raises:
        UsageError: an option names the ledger, or a file that SQLite or its lock has beside it.
    """
    named = {option: getattr(args, name, None) for name, option in OPTIONS.items()}
    if not any(named.values()):
        return
    # Imported here because few command lines name a file.
    from migrator.cli.session import survey_of

    ledger = survey_of(args).settings.ledger
    for option, target in named.items():
        if target:
            refuse_ledger_file(ledger, Path(target), option)


def refuse_ledger_file(
    ledger: Path, target: Path, option: str, error: type[UsageError | NotReady] = UsageError
) -> None:
    """
    Check one file, including links to it and other names of it.

    Args:
        option: The option or variable that names it.
        error: What to raise if it is one of the ledger's.
    """
    from migrator.ledger import is_file_of

    if is_file_of(ledger, target):
        raise error(
            f"{option}: {one_line(str(target))} is a file of the ledger {one_line(str(ledger))}.",
            f"name another file with {option}",
        )
