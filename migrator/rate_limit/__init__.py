"""
When the next request may leave: pure functions, and small locked objects around them.

Nothing here sleeps, reads a clock, or is specific to one service.

    state           the rate, and when the next request may leave
    discovery       finds a limit that the service does not state
    estimate        recent send times, and the limit that a used-up window shows
    limiter         one rate shared by several threads
    rolling_window  a rolling limit, learned from the answers
"""

from migrator.rate_limit.limiter import RateLimiter
from migrator.rate_limit.rolling_window import RequestWindow
from migrator.rate_limit.state import SAFE_PER_MINUTE, RateState

__all__ = ["SAFE_PER_MINUTE", "RateLimiter", "RateState", "RequestWindow"]
