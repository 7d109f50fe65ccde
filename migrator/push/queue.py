"""
The order of sends: untried contacts first, then those that failed, in rounds.

Untried contacts come in HubSpot's order or, if the breaker wants samples, from places spread over
the ledger. A round is every contact that failed and may be sent again, each once. It begins
`settle` seconds after the latest failure, so no contact is sent again sooner.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from migrator.ledger import ContactToSend
from migrator.push.breaker import RemainingWork
from migrator.push.writes import Writes

# Multiples of the golden ratio, modulo 1, are spread evenly, however many there are.
GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class ClaimedContact:
    """A contact to send; `is_sample` = it was chosen from elsewhere in the ledger, as a sample."""

    contact: ContactToSend
    is_sample: bool


class SendQueue:
    """
    The contacts that a push may send. Times are seconds on a monotonic clock.

    Args:
        settle_seconds: The shortest time between a failure and the next send of a contact.
        now: Taken as the time of failures in earlier processes, which is unknown.
    """

    def __init__(self, writes: Writes, settle_seconds: float, now: float) -> None:
        self._writes = writes
        self._settle_seconds = settle_seconds
        self._ripe_at = now + settle_seconds
        self._failures: Counter[int] = Counter()
        self._round: deque[int] = deque()
        self._again: dict[int, None] = {}
        self._begun: set[int] = set()
        self._over = 0
        self._places = 0

    def failed(self, key: int, now: float) -> None:
        """Note a failure: the contact is to be sent again in a later round."""
        self._failures[key] += 1
        self._ripe_at = max(self._ripe_at, now + self._settle_seconds)

    def again(self, key: int, *, is_unsent: bool = False) -> None:
        """
        Put a contact back that was not sent, or whose failure does not count against it.

        One that was not sent gives its place within the limit back: when it is looked at again, it
        may need nothing any more, and another contact may take its place.
        """
        if key in self._begun and key not in self._failures:
            self._again[key] = None
            if is_unsent:
                self._begun.remove(key)

    def finish(self, key: int) -> bool:
        """Note that a contact is not sent again. `False` = known, or not begun by this push."""
        if key not in self._begun:
            return False
        self._begun.remove(key)
        self._over += 1
        return True

    def take(self, count: int, limit: int | None, *, spread: bool) -> list[ClaimedContact]:
        """Take up to `count` contacts; fewer if a new round would be needed for more."""
        again = self._within(limit, self._writes.among(list(self._again)))[:count]
        self._begin(again)
        claims = [ClaimedContact(one, False) for one in again]
        if len(again) < count:
            untried = self._untried(count, spread)
            chosen = [one for one in self._within(limit, untried) if one not in again]
            claims += [ClaimedContact(one, spread) for one in chosen[: count - len(again)]]
        if not claims:
            claims = [ClaimedContact(one, False) for one in self._of_round(count, limit)]
        self._begin([one.contact for one in claims])
        return claims

    def _untried(self, count: int, spread: bool) -> list[ContactToSend]:
        chosen = self._spread(count) if spread else []
        return chosen or self._writes.untried(count)

    def _spread(self, count: int) -> list[ContactToSend]:
        chosen: dict[int, ContactToSend] = {}
        for _ in range(count):
            self._places += 1
            if found := self._writes.untried_at(self._places * GOLDEN_RATIO % 1):
                chosen[found.key] = found
        return list(chosen.values())

    def _of_round(self, count: int, limit: int | None) -> list[ContactToSend]:
        """The next contacts of the round that may still be sent."""
        found: list[ContactToSend] = []
        while self._round and not found:
            keys = [self._round.popleft() for _ in range(min(count, len(self._round)))]
            found = self._within(limit, self._writes.among(keys))
            if unseen := self._writes.unseen(keys):
                self._round.extendleft(reversed(unseen))
                break
        return found

    def _within(self, limit: int | None, contacts: Iterable[ContactToSend]) -> list[ContactToSend]:
        """The contacts that the limit admits: it counts contacts, not sends."""
        chosen, room = [], self._slots(limit)
        for contact in contacts:
            is_new = contact.key not in self._begun
            if room >= is_new:
                room -= is_new
                chosen.append(contact)
        return chosen

    def _slots(self, limit: int | None) -> float:
        """How many more contacts may be begun."""
        return math.inf if limit is None else limit - self._over - len(self._begun)

    def _begin(self, contacts: Iterable[ContactToSend]) -> None:
        for contact in contacts:
            self._begun.add(contact.key)
            self._again.pop(contact.key, None)

    def begin_round(self, now: float, rounds: int | None, limit: int | None) -> bool:
        """
        Begin a round with the contacts that failed, if their settle time is over.

        Args:
            rounds: Leave a contact that failed this often for another push; `None` = no limit.

        Returns:
            Whether the round has any contacts.
        """
        if now < self._ripe_at:
            return False
        # This includes contacts of the last round that a limit excluded.
        self._round = deque(self._eligible(rounds, limit))
        return bool(self._round)

    def _eligible(self, rounds: int | None, limit: int | None) -> list[int]:
        has_slots = self._slots(limit) > 0
        return [
            key
            for key in self._writes.tried()
            if (rounds is None or self._failures.get(key, 0) < rounds)
            and (has_slots or key in self._begun)
        ]

    def is_unfinished(self, limit: int | None) -> bool:
        """Whether contacts that failed are left for another push."""
        return bool(self._eligible(None, limit))

    def has_another_round(self, rounds: int | None, limit: int | None) -> bool:
        """Whether there are contacts to send again, now or after their settle time."""
        return bool(self._round or self._eligible(rounds, limit))

    def rest_seconds(self, now: float) -> float:
        """How long until the next round may begin."""
        return max(0.0, self._ripe_at - now)

    def has_next(self, limit: int | None) -> bool:
        """Whether there is a contact to send now."""
        left = self.left(limit)
        return left.untried or left.tried

    def left(self, limit: int | None, *, in_doubt: bool = False) -> RemainingWork:
        """Which contacts are left to send, for the breaker."""
        has_untried = self._writes.has_untried()
        may_begin = self._slots(limit) > 0
        return RemainingWork(
            untried=has_untried and may_begin,
            out_of_reach=has_untried and not may_begin,
            tried=bool(self._round or self._again),
            in_doubt=in_doubt,
        )
