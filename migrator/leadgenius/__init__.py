"""
LeadGenius: tokens, clients, and leads created one by one and listed page by page.

It never uses the batch call (guide, bug 2), never believes `total` (bug 7), and never decides
whether a lead may be sent; it sends what it is given, once.
"""

from migrator.leadgenius.api import Client, LeadGenius, LeadPage
from migrator.leadgenius.standing import Standing, standing
from migrator.leadgenius.tokens import CredentialsStore, Login, Tokens

__all__ = [
    "Client",
    "CredentialsStore",
    "LeadGenius",
    "LeadPage",
    "Login",
    "Standing",
    "Tokens",
    "standing",
]
