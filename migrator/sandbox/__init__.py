"""
A stand-in of HubSpot and LeadGenius on one loopback port, with scripted fault and a verdict.

It behaves as the guide says, bugs included, and keeps its own record to judge a migration by. It
imports nothing of ours outside this package and only the standard library: a witness who shares
code with the accused proves nothing.
"""

from migrator.sandbox.command import run
from migrator.sandbox.expected_leads import ExpectedLead
from migrator.sandbox.faults import FAULTS
from migrator.sandbox.quirks import QUIRKS
from migrator.sandbox.request_log import LoggedRequest
from migrator.sandbox.sandbox import Sandbox
from migrator.sandbox.verdict import SandboxVerdict

__all__ = [
    "FAULTS",
    "QUIRKS",
    "ExpectedLead",
    "LoggedRequest",
    "Sandbox",
    "SandboxVerdict",
    "run",
]
