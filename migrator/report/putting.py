"""
The page put into its file: at once, for its owner alone, and never over what is no page.

It names people, so it is kept as the ledger is (see `privacy`).
"""

import stat
from pathlib import Path

from migrator import private_files
from migrator.errors import NotReady, UsageError
from migrator.ledger import Ledger
from migrator.report.details import gather_details
from migrator.report.html import as_html
from migrator.report.summary import Report
from migrator.text import one_line

_OPENING = "<!doctype html>"
_HINT = "name another file: migrator report --html report.html"


def put_page(ledger: Ledger, target: Path) -> Report:
    """
    Write the page of this moment; when it returns, the whole of it is there, with mode 0600.

    Returns:
        The facts on it.

    Raises:
        UsageError: something that is no page has that name, or its folder is not there.
        NotReady: the file cannot be written.
    """
    _check(target)
    details = gather_details(ledger)
    try:
        # Replacing the path itself would turn a link into a file and leave its target stale.
        private_files.replace(target.resolve(), as_html(details))
    except OSError as error:
        raise NotReady(
            f"{one_line(str(target))}: cannot be written ({error.strerror}).",
            "make its folder writable, or name another file with --html",
        ) from None
    return details.report


def _check(target: Path) -> None:
    name = one_line(str(target))
    try:
        found = target.stat()
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise UsageError(f"{name}: its folder is not there.", _HINT) from None
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{name}: no page can be put there ({reason}).", _HINT) from None
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{name} is no file, so no page can be put there.", _HINT)
    if found.st_size and not _is_page(target):
        # One mistyped word must not cost anybody a ledger or a token.
        raise UsageError(f"{name} is there already, and is no page.", _HINT)


def _is_page(target: Path) -> bool:
    try:
        with target.open("rb") as stream:
            return stream.read(len(_OPENING)) == _OPENING.encode()
    except OSError as error:
        raise NotReady(
            f"{one_line(str(target))}: cannot be read ({error.strerror}).", _HINT
        ) from None
