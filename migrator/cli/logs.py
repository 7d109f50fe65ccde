"""
The log that `-v` shows, and where a bug is.

Records are made without tokens, parameters and bodies, where they are made. This sees to it that
nobody else's reach the terminal, and that nothing in one steers it.
"""

import logging
import traceback
from pathlib import Path
from typing import TextIO

from migrator.printable import visible

OURS = logging.getLogger("migrator")


def log_to(stream: TextIO | None) -> None:
    """
    Write our own log to a stream; `None` = nowhere.

    Only our own: what other libraries log of a request holds its parameters, and what they warn of
    an answer quotes it.
    """
    OURS.handlers.clear()
    if stream is not None:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_Formatter("%(asctime)s %(name)s: %(message)s"))
        OURS.addHandler(handler)
        OURS.setLevel(logging.DEBUG)


def place_of(error: Exception) -> str:
    """
    Where an error nobody foresaw was raised; the way there is logged.

    What the error itself says is neither: it may hold anything, or anybody.
    """
    for line in "".join(traceback.format_tb(error.__traceback__)).splitlines():
        OURS.debug("%s", line)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))
