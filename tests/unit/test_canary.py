"""When the first leads of a push must show up, on a clock that only moves where a listing does."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from migrator import push
from migrator.errors import StoppedEarly
from migrator.leadgenius import LeadPage

SETTLE = 60.0


class Canary:
    """As much of a push loop as reading the canary back needs; each listing takes so long."""

    options = SimpleNamespace(settle_seconds=SETTLE, portal_id="42", client_id="acme")
    recorder = SimpleNamespace(say=lambda words: None)

    def __init__(self, clock: Any, seconds: float, shown_from: int) -> None:
        self.clock, self.seconds, self.shown_from = clock, seconds, shown_from
        self.listings = 0
        self.client = self
        self.signals = SimpleNamespace(pause=clock.sleep)

    def pages(self) -> Iterator[LeadPage]:
        self.listings += 1
        self.clock.sleep(self.seconds)
        leads = [{"id": "lead-1", "email": "ada@example.com"}]
        yield LeadPage(leads if self.listings >= self.shown_from else [], None)

    def check_foreign(self, leads: Any) -> None:
        pass


@pytest.fixture
def read_back(clock, monkeypatch):
    monkeypatch.setattr(push, "time", SimpleNamespace(monotonic=clock.now))

    def read(seconds: float, shown_from: int) -> Canary:
        canary = Canary(clock, seconds, shown_from)
        loop: Any = canary
        push._read_back(loop, {"lead-1": "1"})
        return canary

    return read


def test_a_listing_that_began_before_settle_was_over_is_no_reason_to_stop(read_back):
    """It may have passed the lead's place before the lead was to be seen."""
    assert read_back(SETTLE + 1, shown_from=2).listings == 2


def test_a_listing_that_began_after_settle_is(read_back):
    with pytest.raises(StoppedEarly, match=r"created 1 leads, but they do not show up .* acme"):
        read_back(SETTLE + 1, shown_from=3)


def test_reads_that_lag_are_repeated_until_settle_is_over(read_back, clock):
    began = clock.now()
    with pytest.raises(StoppedEarly):
        read_back(0.0, shown_from=1_000)
    assert SETTLE <= clock.now() - began <= SETTLE + 5
