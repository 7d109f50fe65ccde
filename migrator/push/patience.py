"""When a push waits no longer, and in which words it stops. It decides; it never waits."""

import time

from migrator.errors import ServiceBusy, ServiceDown
from migrator.pacing import Pacer, Patience, is_down, is_troubled
from migrator.states import Outcome
from migrator.wire import Sent

# Longer than this nobody watches a service that says "not now" to everything.
LONGEST_WAIT_SECONDS = 300.0
# A shorter rest than this, beyond the pace itself, is nothing to speak of.
SHORTEST_REST_SECONDS = 1.0


def is_wait_too_long(pacer: Pacer) -> bool:
    """Whether the service's next window is further away than anybody would watch."""
    return pacer.wait_seconds(time.monotonic()) > LONGEST_WAIT_SECONDS + _own_seconds(pacer)


def rest(pacer: Pacer, bad_rounds: int) -> tuple[str | None, float | None]:
    """What a push rests for, beyond its own pace, and for how long; `None` = it does not."""
    seconds = pacer.wait_seconds(time.monotonic())
    if seconds <= SHORTEST_REST_SECONDS + _own_seconds(pacer):
        return None, None
    return f"LeadGenius to {'recover' if is_troubled(bad_rounds) else 'allow more'}", seconds


def _own_seconds(pacer: Pacer) -> float:
    """What a send waits for by the pace alone."""
    per_minute = pacer.pace.per_minute
    return 60 / per_minute if per_minute else 0.0


class Setbacks:
    """
    What rounds of sends that came to nothing cost, since the last one that did not.

    One that never left costs nothing. A doubt costs `settle`, so no patience makes up for many.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self.over()

    def over(self) -> None:
        """A send came to something."""
        self._began_at: float | None = None
        self._free_rounds = 0

    def add(self, sent: Sent, now: float) -> None:
        """A round came to nothing."""
        if self._began_at is None:
            self._began_at = now
        self._free_rounds += sent.outcome is Outcome.UNSENT

    def are_too_many(self, rounds: int, now: float) -> bool:
        """Whether to stop the run after so many rounds."""
        is_free = self._began_at is not None and self._patience.lasts(self._began_at, now)
        return is_down(rounds - self._free_rounds if is_free else rounds)


def busy() -> ServiceBusy:
    """The service lets nothing through for long."""
    return ServiceBusy(
        "LeadGenius lets nothing through: its limit of requests is used up.",
        "migrator push --resume, later; everything done so far is kept",
    )


def down(sent: Sent) -> ServiceDown:
    """The service took nothing for several rounds; the last answer tells how."""
    answered = f"status {sent.status}: " if sent.status else ""
    return ServiceDown(
        f"LeadGenius takes no leads at the moment ({answered}{sent.answer or 'no answer'}).",
        "migrator push --resume, later; everything done so far is kept",
    )
