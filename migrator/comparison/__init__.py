"""
What `migrator update` changes in a listed lead, and which leads `migrator undo` may delete.

All functions are pure, and their results can be stored as JSON. A lead is a mapping of fields to
texts. The *base* of a contact is its lead as LeadGenius was last told and took; a field of it that
is None is unknown. Values are compared as `verify` compares them. The modules:

    storage     what LeadGenius stores and lists of a lead, as far as a probe found out
    compare     base, new lead and listed lead -> the fields to change, and those in conflict
    notes       the same for the lines of the notes
    put         what an update sends, and what a listing proves of one that is in doubt
    ownership   whether a listed lead is as we left it, so that it may be deleted
"""

from migrator.comparison.compare import (
    LeadChange,
    Preference,
    adopted_base,
    compare_lead,
    listed_text,
    merged_notes,
)
from migrator.comparison.ownership import KeepReason, why_kept
from migrator.comparison.put import (
    READ_ONLY,
    UpdateProof,
    are_edits,
    what_a_listing_proves,
    whole_lead,
)
from migrator.comparison.storage import NEVER_PROBED, Clearing, LeadStorage

__all__ = [
    "NEVER_PROBED",
    "READ_ONLY",
    "Clearing",
    "KeepReason",
    "LeadChange",
    "LeadStorage",
    "Preference",
    "UpdateProof",
    "adopted_base",
    "are_edits",
    "compare_lead",
    "listed_text",
    "merged_notes",
    "what_a_listing_proves",
    "whole_lead",
    "why_kept",
]
