"""A clock for the sandbox's leads that stands still until a test moves it."""

import time
from types import SimpleNamespace

import pytest


class LeadClock:
    """`now` is on the monotonic clock, in seconds."""

    now = 1_000.0


@pytest.fixture
def lead_clock(monkeypatch: pytest.MonkeyPatch) -> LeadClock:
    clock = LeadClock()
    replaced = SimpleNamespace(monotonic=lambda: clock.now, time=time.time)
    monkeypatch.setattr("migrator.sandbox.lead_store.time", replaced)
    return clock
