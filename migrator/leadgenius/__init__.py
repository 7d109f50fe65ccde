"""
LeadGenius: tokens, clients, and leads created one by one and listed page by page.

It never uses the batch call (guide, bug 2) or trusts `total` (bug 7). It sends each lead that it is
given exactly once; callers decide which leads to send.
"""

from migrator.leadgenius.api import LeadGenius
from migrator.leadgenius.login import Credentials, CredentialsStore
from migrator.leadgenius.login_status import LoginStatus, login_status
from migrator.leadgenius.responses import LeadGeniusClient, LeadPage
from migrator.leadgenius.tokens import Tokens

__all__ = [
    "Credentials",
    "CredentialsStore",
    "LeadGenius",
    "LeadGeniusClient",
    "LeadPage",
    "LoginStatus",
    "Tokens",
    "login_status",
]
