"""
The views of a ledger: reports, the history of a contact, the plan of a push, and the HTML page.

They need no network and only read; the caller opens the ledger. One module a view: a dataclass of
what it shows, read in one transaction, with its JSON and its rendering.

    report.summary           the report on the whole migration; report.summary_json and
                             report.summary_page, its two forms
    report.contact           the history of one contact
    report.plan              what a push would do; report.plan_page, its rendering
    report.destination_scan  what the leads that are already there mean for it
    report.request_estimate  how many requests it would take
    report.payloads          leads as it would send them
    report.html              the report as an HTML page; report.html_data, what it adds
    report.sign_off          the page that a customer signs, from a proof
    report.find              the contacts that are named on the command line
    report.next_step         the next command to type
    report.labels            texts for states, holds and endings; how numbers are written
    report.layout            tables and lines, printed at any width and in any encoding

`report.html` is imported only where it is used: its libraries take long to load.
"""

from migrator.report.find import find_contacts, why_not_released
from migrator.report.next_step import next_command, next_step
from migrator.report.summary import Report
from migrator.report.summary_json import as_json
from migrator.report.summary_page import render

__all__ = [
    "Report",
    "as_json",
    "find_contacts",
    "next_command",
    "next_step",
    "render",
    "why_not_released",
]
