"""What a push is asked to do, and what it has done so far."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """
    How to push.

    Args:
        portal_id: The portal whose contacts these are.
        client_id: The client that they go to.
        limit: At most so many contacts; `None` = all.
        workers: Threads that send.
        settle_seconds: See `settle`.
        canary: So many are sent and read back before the rest of a first push; 0 = none.
        max_in_doubt: So many contacts may be in doubt or in flight at once.
    """

    portal_id: str
    client_id: str
    limit: int | None = None
    workers: int = 8
    settle_seconds: float = 60.0
    canary: int = 5
    max_in_doubt: int = 50


@dataclass
class Progress:
    """What a push did so far, in contacts, and what it is waiting for (`None` = for nothing)."""

    adopted: int = 0
    posted: int = 0
    found: int = 0
    absent: int = 0
    refused: int = 0
    denied: int = 0
    throttled: int = 0
    unsent: int = 0
    gave_up: int = 0
    in_flight: int = 0
    in_doubt: int = 0
    to_send: int = 0
    per_minute: float | None = None
    waiting_for: str | None = None

    def counters(self) -> dict[str, int]:
        """The numbers that a run keeps."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}

    @property
    def left_for_a_person(self) -> int:
        """Contacts that this push left for a person."""
        return self.refused + self.gave_up


Notice = Callable[[Progress], None]
