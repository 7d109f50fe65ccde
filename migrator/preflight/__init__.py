"""
Before any work begins: the doors of both services, and the guide's checklist, each item tried.

It reads only. What a check finds wrong is named with the next command to type; nothing is repaired
here.
"""

from migrator.connections import (
    BoundDestination,
    bind_destination,
    bind_source,
    open_hubspot,
    open_leadgenius,
)
from migrator.preflight.checklist import Check
from migrator.preflight.checks import Preflight
from migrator.preflight.logins import renewal_in_words, standing_of, token_in_words

__all__ = [
    "BoundDestination",
    "Check",
    "Preflight",
    "bind_destination",
    "bind_source",
    "open_hubspot",
    "open_leadgenius",
    "renewal_in_words",
    "standing_of",
    "token_in_words",
]
