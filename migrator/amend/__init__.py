"""
Held contacts as a table for a person, and what a table that comes back corrected means.

It decides who may be amended and what changes; the ledger keeps it, and `stage` maps it. It sends
nothing and asks nobody.
"""

from migrator.amend.plan import Change, plan
from migrator.amend.table import CONTACT, export, fields, take_back
from migrator.amend.words import AmendPreview, counts, forecast, line

__all__ = [
    "CONTACT",
    "AmendPreview",
    "Change",
    "counts",
    "export",
    "fields",
    "forecast",
    "line",
    "plan",
    "take_back",
]
