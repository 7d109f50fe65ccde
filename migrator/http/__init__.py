"""
One HTTP request at a time, and what its answer proves.

This is the only place that makes requests and the only one that reads status codes. A read may be
repeated; a send leaves at most once, and every answer to it is classified here, once (design, I2).
It knows neither service: paths, bodies and headers come from its callers.
"""

from migrator.http.client import HttpClient
from migrator.http.page_size import PageSize
from migrator.http.responses import RateLimitInfo, Response, SendOutcome, support_mark

__all__ = ["HttpClient", "PageSize", "RateLimitInfo", "Response", "SendOutcome", "support_mark"]
