"""
The audit: checks independently, from a ledger and a listing, that each contact has one lead.

It reads the ledger's file with plain SQL and the leads as LeadGenius lists them. It imports nothing
from the rest of the package, because it checks that, and recomputes counts, hashes and histories.
It never writes to the ledger.
"""

from migrator.audit.proof import AuditVerdict, audit
from migrator.audit.records import NotALedger

__all__ = ["AuditVerdict", "NotALedger", "audit"]
