"""
The guide's checklist before a migration, each item really tried; and the connections it uses.

It only reads. A failed check names the next command to type; nothing is repaired here.
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
from migrator.preflight.leadgenius import renewal_in_words, token_in_words

__all__ = [
    "BoundDestination",
    "Check",
    "Preflight",
    "bind_destination",
    "bind_source",
    "open_hubspot",
    "open_leadgenius",
    "renewal_in_words",
    "token_in_words",
]
