"""
A stand-in of HubSpot and LeadGenius on one loopback port, with scripted misfortune and a verdict.

It behaves as the guide says, bugs included, and keeps its own record to judge a migration by. It
imports nothing of ours outside this package and only the standard library: a witness who shares
code with the accused proves nothing.
"""

from migrator.sandbox.command import run
from migrator.sandbox.judge import Verdict
from migrator.sandbox.misfortunes import MISFORTUNES
from migrator.sandbox.quirks import QUIRKS
from migrator.sandbox.reading import Expected
from migrator.sandbox.record import Received
from migrator.sandbox.stand import Sandbox

__all__ = ["MISFORTUNES", "QUIRKS", "Expected", "Received", "Sandbox", "Verdict", "run"]
