"""
A simulation of HubSpot and LeadGenius on one loopback port, with fault injection and a verdict.

It behaves as the guide says, bugs included, and logs all requests to judge a migration. It imports
nothing from the rest of the package, because its verdict checks that.
"""

from migrator.sandbox.command import run
from migrator.sandbox.control import ACTIONS
from migrator.sandbox.editor import EDITS
from migrator.sandbox.expected_leads import ExpectedLead
from migrator.sandbox.faults import FAULTS
from migrator.sandbox.findings import sandbox_options
from migrator.sandbox.lead_history import RecordedChange
from migrator.sandbox.lost_edits import LostEdit, LostEdits
from migrator.sandbox.quirks import QUIRKS
from migrator.sandbox.request_log import LoggedRequest
from migrator.sandbox.sandbox import Sandbox
from migrator.sandbox.verdict import SandboxVerdict

__all__ = [
    "ACTIONS",
    "EDITS",
    "FAULTS",
    "QUIRKS",
    "ExpectedLead",
    "LoggedRequest",
    "LostEdit",
    "LostEdits",
    "RecordedChange",
    "Sandbox",
    "SandboxVerdict",
    "run",
    "sandbox_options",
]
