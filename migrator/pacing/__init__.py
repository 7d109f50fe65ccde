"""
When the next request may leave: arithmetic, and one small locked object around it.

Nothing here sleeps, and nothing here knows a service.

    pace     how fast requests may leave
    pacer    a pace that several threads share
    trouble  how long to leave a failing service alone
    window   a limit that rolls, learnt from the answers
"""

from migrator.pacing.pace import (
    CATCH_UP_SECONDS,
    PAUSE_WHEN_THROTTLED_SECONDS,
    SAFE_PER_MINUTE,
    SLOW_DOWN,
    SLOWEST_PER_MINUTE,
    SPEED_UP_PER_MINUTE,
    Pace,
    heed,
    ready,
    take,
    throttle,
)
from migrator.pacing.pacer import Pacer
from migrator.pacing.trouble import (
    ROUNDS_BEFORE_STOPPING,
    ROUNDS_OF_BAD_LUCK,
    backoff_seconds,
    is_down,
    is_troubled,
    trouble_pause_seconds,
)
from migrator.pacing.window import Window

__all__ = [
    "CATCH_UP_SECONDS",
    "PAUSE_WHEN_THROTTLED_SECONDS",
    "ROUNDS_BEFORE_STOPPING",
    "ROUNDS_OF_BAD_LUCK",
    "SAFE_PER_MINUTE",
    "SLOWEST_PER_MINUTE",
    "SLOW_DOWN",
    "SPEED_UP_PER_MINUTE",
    "Pace",
    "Pacer",
    "Window",
    "backoff_seconds",
    "heed",
    "is_down",
    "is_troubled",
    "ready",
    "take",
    "throttle",
    "trouble_pause_seconds",
]
