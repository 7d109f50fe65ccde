"""
One HTTP request at a time, and what its answer proves.

This is the only place that makes requests and the only one that reads status codes. A read may be
repeated; a send leaves at most once, and every answer to it is classified here, once (design, I2).
It knows neither service: paths, bodies and headers come from its callers.
"""

from migrator.http.client import Wire
from migrator.http.page_size import PageSize
from migrator.http.responses import Allowance, Reply, Sent, support_mark

__all__ = ["Allowance", "PageSize", "Reply", "Sent", "Wire", "support_mark"]
