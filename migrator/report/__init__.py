"""
What a person reads of the ledger: where every contact stands, who waits and why, what comes next.

It needs no network, and only reads: the caller opens the ledger. Small modules, in the order in
which one needs the other; no other room opens them directly:

    report.facts      one snapshot of the ledger, as plain data
    report.following  the next command to type
    report.find       the contacts that a person names, and why one of them stays held
    report.machine    the same facts as JSON
    report.paper      what every page is made of
    report.page       the same facts for people
    report.glance     a few lines of them, to stand below a display of the command at work
    report.details    what the HTML page has besides: people, every run, the history
    report.charts     its charts
    report.html       all of it as one page for a browser
    report.putting    the page into its file

The last four are opened only by whoever asks for them: they bring libraries that take a while.
Beside them stand two narrower views, each with its own facts, machine and page: `report.story`, one
contact, and `report.plan`, what a push would do.
"""

from migrator.report.facts import Report, gather
from migrator.report.find import find_contacts, why_not_released
from migrator.report.glance import glance
from migrator.report.machine import as_json
from migrator.report.next_step import next_command, next_step
from migrator.report.page import render

__all__ = [
    "Report",
    "as_json",
    "find_contacts",
    "gather",
    "glance",
    "next_command",
    "next_step",
    "render",
    "why_not_released",
]
