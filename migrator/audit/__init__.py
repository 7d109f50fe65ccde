"""
The judge: whether a ledger and a listing of the client prove that the promise was kept.

It re-derives everything from the ledger's file, read as anybody could, and from leads as LeadGenius
gives them. It shares nothing with the code that it judges: it imports nothing of ours, and believes
no count, hash or history that it can work out for itself. It never writes to the ledger.
"""

from migrator.audit.evidence import NotALedger
from migrator.audit.proof import AuditVerdict, audit

__all__ = ["AuditVerdict", "NotALedger", "audit"]
