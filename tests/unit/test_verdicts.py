"""What the push loop does with the breaker's verdict."""

from types import SimpleNamespace
from typing import Any

from migrator.push.breaker import BreakerVerdict
from migrator.push.loop import PushLoop
from migrator.rate_limit import RateLimiter, RateState


def test_nothing_leaves_while_the_breaker_wants_a_pause():
    limiter = RateLimiter(RateState.automatic())
    loop: Any = SimpleNamespace(limiter=limiter, _breaker=SimpleNamespace(stop=None))
    PushLoop._apply_verdict(loop, BreakerVerdict(), 100.0)
    assert limiter.wait_seconds(100.0) == 0
    PushLoop._apply_verdict(loop, BreakerVerdict(pause_seconds=3.0), 100.0)
    assert limiter.wait_seconds(100.0) == 3.0
