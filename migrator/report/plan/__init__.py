"""
What a push would do, before it does: from the ledger, and, where asked, from a look at the client.

    plan.destination  what a listing of the client would mean; the caller brings its pages
    plan.requests     how many requests, and how long they take
    plan.samples      leads as they would be sent
    plan.facts        all of it, as plain data
    plan.machine      the same as JSON
    plan.page         the same for people
"""

from migrator.report.plan.destination import DestinationScan
from migrator.report.plan.facts import Plan, check_staged, gather
from migrator.report.plan.machine import as_json, sample_json
from migrator.report.plan.page import render
from migrator.report.plan.samples import Sample, of_contact

__all__ = [
    "DestinationScan",
    "Plan",
    "Sample",
    "as_json",
    "check_staged",
    "gather",
    "of_contact",
    "render",
    "sample_json",
]
