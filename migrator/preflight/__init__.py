"""
The guide's checklist before a migration; each item is tried with real requests.

It only reads. A failed check names the next command to type, and repairs nothing.
"""

from migrator.preflight.checklist import Check
from migrator.preflight.checks import Preflight
from migrator.preflight.leadgenius import renewal_in_words, token_in_words

__all__ = [
    "Check",
    "Preflight",
    "renewal_in_words",
    "token_in_words",
]
