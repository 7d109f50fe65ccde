"""
When the next request may leave: arithmetic, and one small locked object around it.

Nothing here sleeps, and nothing here knows a service.

    pace        how fast requests may leave
    search      how the limit is found where nobody tells it
    evidence    what a refusal tells of it
    departures  what left in the last minutes
    pacer       a pace that several threads share
    patience    how long a service may be away that was there before
    trouble     how long to leave a failing service alone
    window      a limit that rolls, learnt from the answers
"""

from migrator.rate_limit.backoff import backoff_seconds
from migrator.rate_limit.departures import SendTimes
from migrator.rate_limit.discovery import on_response
from migrator.rate_limit.estimate import LimitRange, Throttling, evidence, nearest_round_number
from migrator.rate_limit.limiter import RateLimiter
from migrator.rate_limit.outage import OutageBudget
from migrator.rate_limit.rolling_window import RequestWindow
from migrator.rate_limit.state import (
    CATCH_UP_SECONDS,
    PAUSE_WHEN_THROTTLED_SECONDS,
    SAFE_PER_MINUTE,
    SHARE_OF_LIMIT,
    SLOWEST_PER_MINUTE,
    RateState,
    available,
    reserve,
    throttle,
)

__all__ = [
    "CATCH_UP_SECONDS",
    "PAUSE_WHEN_THROTTLED_SECONDS",
    "SAFE_PER_MINUTE",
    "SHARE_OF_LIMIT",
    "SLOWEST_PER_MINUTE",
    "LimitRange",
    "OutageBudget",
    "RateLimiter",
    "RateState",
    "RequestWindow",
    "SendTimes",
    "Throttling",
    "available",
    "backoff_seconds",
    "evidence",
    "nearest_round_number",
    "on_response",
    "reserve",
    "throttle",
]
