"""
HTTP requests, and what their answers prove.

No other package makes requests or reads status codes. A read may be repeated; a send leaves at most
once, and every answer to it is classified here, once (design, I2). Nothing here knows a service:
paths, bodies and headers come from the callers.
"""

from migrator.http.client import HttpClient
from migrator.http.page_size import PageSize
from migrator.http.responses import RateLimitInfo, Response, SendOutcome, correlation_note

__all__ = ["HttpClient", "PageSize", "RateLimitInfo", "Response", "SendOutcome", "correlation_note"]
