"""
HTTP requests, and what their answers prove.

No other package makes requests or reads status codes. A read may be repeated; a send leaves at most
once, and only this package classifies the answer to it (design, I2). Nothing here is specific to
one service: paths, bodies and headers come from the callers.
"""

from migrator.http.backoff import backoff_seconds
from migrator.http.client import HttpClient
from migrator.http.outage import OutageBudget
from migrator.http.page_size import PageSize
from migrator.http.responses import RateLimitInfo, Response, SendOutcome, correlation_note

__all__ = [
    "HttpClient",
    "OutageBudget",
    "PageSize",
    "RateLimitInfo",
    "Response",
    "SendOutcome",
    "backoff_seconds",
    "correlation_note",
]
