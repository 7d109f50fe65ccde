"""
What is seen while a command works: messages, errors and progress.

A live display where there is a terminal, a plain line now and then elsewhere, objects for a program
that asked for JSON. It knows neither ledger nor service, only the numbers that it is told, and must
never fail: a closed pipe, a reader that is behind or a character that cannot be shown is no reason
to stop a push. Four small modules, in the order in which one needs the other:

    progress.streams  streams that show what they can and never fail
    progress.state    how far a command is, and what follows: its pace, the time left, the JSON
    progress.render   how that looks: as a line, as a frame of the live display
    progress.display  which of them is shown when
"""

from migrator.progress.display import Display
from migrator.progress.state import Snapshot
from migrator.progress.streams import redirect_to_devnull, tell

__all__ = ["Display", "Snapshot", "redirect_to_devnull", "tell"]
