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

from migrator.pacing.departures import Departures
from migrator.pacing.evidence import Range, Refusal, evidence, roundest
from migrator.pacing.pace import (
    CATCH_UP_SECONDS,
    PAUSE_WHEN_THROTTLED_SECONDS,
    SAFE_PER_MINUTE,
    SHARE_OF_LIMIT,
    SLOWEST_PER_MINUTE,
    Pace,
    ready,
    take,
    throttle,
)
from migrator.pacing.pacer import Pacer
from migrator.pacing.patience import Patience
from migrator.pacing.search import heed
from migrator.pacing.trouble import backoff_seconds
from migrator.pacing.window import Window

__all__ = [
    "CATCH_UP_SECONDS",
    "PAUSE_WHEN_THROTTLED_SECONDS",
    "SAFE_PER_MINUTE",
    "SHARE_OF_LIMIT",
    "SLOWEST_PER_MINUTE",
    "Departures",
    "Pace",
    "Pacer",
    "Patience",
    "Range",
    "Refusal",
    "Window",
    "backoff_seconds",
    "evidence",
    "heed",
    "ready",
    "roundest",
    "take",
    "throttle",
]
