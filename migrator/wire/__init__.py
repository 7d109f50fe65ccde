"""
One HTTP request at a time, and what its answer proves.

This is the only place that makes requests and the only one that reads status codes. A read may be
repeated; a send leaves at most once, and every answer to it is classified here, once (design, I2).
It knows neither service: paths, bodies and headers come from its callers.
"""

from migrator.wire.answers import Allowance, Reply, Sent, support_mark
from migrator.wire.client import Wire
from migrator.wire.page_size import PageSize

__all__ = ["Allowance", "PageSize", "Reply", "Sent", "Wire", "support_mark"]
