"""
Held contacts as a CSV table to correct, and what an edited table changes.

This room decides which contacts may be amended; the ledger stores the amendments, and `stage` maps
the contacts again.
"""

from migrator.amend.changes_table import export_changes
from migrator.amend.plan import AmendPreview, Change, counts, forecast, line, plan
from migrator.amend.table import CONTACT, export, fields, take_back

__all__ = [
    "CONTACT",
    "AmendPreview",
    "Change",
    "counts",
    "export",
    "export_changes",
    "fields",
    "forecast",
    "line",
    "plan",
    "take_back",
]
