"""
Messages, errors and progress while a command runs.

A live display on a terminal, a plain line every few seconds elsewhere, JSON objects with `--json`.
It never fails: a closed pipe, a slow reader or a character that cannot be shown must not stop a
push. It has no access to the ledger or the services. The modules, lowest first:

    progress.state    the progress of a command: its rate, the time left, the JSON
    progress.render   that progress as a line, or as a frame of the live display
    progress.display  what is shown when
    progress.fleet_table  the journeys of a fleet as a table
"""

from migrator.progress.display import Display
from migrator.progress.state import Snapshot

__all__ = ["Display", "Snapshot"]
