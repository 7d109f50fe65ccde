"""
The whole story of one contact: from HubSpot's words to the lead, each send and each move.

    story.facts    one snapshot of what the ledger knows of the contacts that a person names
    story.machine  the same as JSON
    story.page     the same for people
"""

from migrator.report.story.facts import ContactHistory, ContactReport, tell_of
from migrator.report.story.machine import as_json
from migrator.report.story.page import render

__all__ = ["ContactHistory", "ContactReport", "as_json", "render", "tell_of"]
