"""
LeadGenius: tokens, clients, and leads created one by one and listed page by page.

It never uses the batch call (guide, bug 2), never believes `total` (bug 7), and never decides
whether a lead may be sent; it sends what it is given, once.
"""

from migrator.leadgenius.api import LeadGenius, LeadGeniusClient, LeadPage
from migrator.leadgenius.login import Credentials, CredentialsStore
from migrator.leadgenius.login_status import LoginStatus, login_status
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
