"""
When a push lists the client for leads that this ledger did not send (the contract, sections 1, 5).

A push that has something to send begins with a complete listing: it adopts leads with our record
line (design, I5). Foreign leads in it, which no send of this ledger can have made, tell of another
sender, whose last sends may not be listed yet. Then, and when looks are owed from an earlier start,
the push waits for `settle` and a random part of it, and lists again, until a whole wait brought no
new foreign lead: a quiet look. If three waits bring some, another sender is at work.

Later listings, made for any reason, stop the push if they show a new foreign lead. Some are
made for that alone (`LookSchedule`): after the first sends, which must end before more are sent;
every ten minutes; a few more after a start that owed looks; and before the next send, if nothing
was sent for longer than `settle`, as after a suspended machine.

Where a listing takes many requests, a look before a send asks find-lead for a few contacts instead:
for those first sends, or for the next ones to be sent after a rest. Another sender goes in the same
order, so its leads are among them.
"""

import math
import random
from collections.abc import Callable, Collection, Sequence

from migrator.errors import ForeignSender, RunAgain
from migrator.journey.sender import Sender
from migrator.text import count_noun

SENDS_BEFORE_THE_FIRST_LOOK = 20
SECONDS_BETWEEN_LOOKS = 600.0
SECONDS_AFTER_OWED_LOOKS = (60.0, 120.0, 240.0, 480.0)
MOST_LOOKS = 3
# A push loop naps for up to half a second, so a shorter `settle` tells nothing of a rest.
SHORTEST_REST_SECONDS = 1.5
# A look is left out if it takes more than this part of the requests so far.
LARGEST_PART_OF_REQUESTS = 1 / 50
# After a rest, find-lead will do if a listing takes more requests than this part of the sends left.
LARGEST_PART_OF_SENDS_LEFT = 1 / 20


def look_until_quiet(
    look: Callable[[], Collection[str]],
    note: Callable[[Collection[str]], None],
    wait: Callable[[float], None],
    sender: Sender,
    settle_seconds: float,
) -> bool:
    """
    List the client, and again until a whole wait brought no new foreign lead.

    Args:
        look: Lists the client, adopts, and returns the ids of foreign leads.
        note: Remembers foreign leads, which then are foreign no more.
        wait: Waits for so many seconds.

    Returns:
        Whether there was reason for more than one look.

    Raises:
        ForeignSender: new ones keep coming.
    """
    seen = set(look())
    if seen and not sender.owes_looks:
        sender.owe_looks(True)
    if not sender.owes_looks:
        return False
    for _ in range(MOST_LOOKS):
        # A random part, so that two senders that begin together do not look together.
        wait(settle_seconds * random.uniform(1.0, 2.0))
        new = set(look()) - seen
        seen |= new
        if not new:
            note(seen)
            sender.owe_looks(False)
            return True
    raise foreign_sender(new)


def foreign_sender(leads: Collection[str]) -> ForeignSender:
    """The error for foreign leads that were created meanwhile."""
    return ForeignSender(
        "Another sender is sending into this client right now: LeadGenius lists "
        f"{count_noun(len(leads), 'new lead')} with this portal's record line that this ledger did "
        f"not send, such as {min(leads)}.",
        RunAgain("let the other one end, then ", ", which adopts what is there"),
    )


class LookSchedule:
    """
    When looks are due. Times are seconds on a clock that goes on while the machine sleeps.

    Args:
        now: When the first look ended.
        was_owed: Whether that start owed looks.
        is_checked: Whether no look is due after the first sends, because the pages that are read
            before each of them show other senders.
        pages_a_send: By how many pages a send makes a listing longer.
    """

    def __init__(
        self,
        settle_seconds: float,
        now: float,
        *,
        was_owed: bool,
        is_checked: bool = False,
        pages_a_send: float = 0.0,
    ) -> None:
        self._longest_rest = max(settle_seconds, SHORTEST_REST_SECONDS)
        after = SECONDS_AFTER_OWED_LOOKS if was_owed else ()
        self._times = [now + seconds for seconds in after]
        self._active_at = self._turn_at = self._looked_at = now
        self._sends = self._sends_listed = 0
        self._pages_a_send = pages_a_send
        self._is_checked, self._was_asleep = is_checked, False
        self._is_fresh = True  # nothing was sent since the last look

    def turn(self, now: float, *, is_sending: bool) -> None:
        """A turn of the push loop; `is_sending` = sends are in flight."""
        self._was_asleep = self._was_asleep or now - self._turn_at > self._longest_rest
        self._turn_at = now
        if is_sending:
            self._active_at = now

    def sent(self, number: int) -> None:
        """Count sends that begin now."""
        self._sends += number
        self._is_fresh = self._is_fresh and number == 0

    def looked(self, now: float, *, is_listing: bool = True) -> None:
        """A complete listing ended now, or a search for a few contacts."""
        self._active_at = self._turn_at = now
        self._was_asleep = False
        self._is_fresh = True
        if is_listing:
            self._looked_at = now
            self._sends_listed = self._sends
            self._times = [time for time in self._times if time > now]
        self._is_checked = self._is_checked or self._sends >= SENDS_BEFORE_THE_FIRST_LOOK

    def sends_left(self, now: float) -> float:
        """How many may leave before the next look: 0 = look first; infinite = any number."""
        if self._has_rested(now):
            return 0
        if self._is_checked:
            return math.inf
        return max(0, SENDS_BEFORE_THE_FIRST_LOOK - self._sends)

    def _has_rested(self, now: float) -> bool:
        # A look may use up what the rate limit allows: it counts until the sends may leave again.
        rest = SECONDS_BETWEEN_LOOKS if self._is_fresh else self._longest_rest
        return self._was_asleep or now - self._active_at > rest

    def emails_to_find(
        self, now: float, pages: int, sends_left: int, sent: Sequence[str], following: Sequence[str]
    ) -> list[str]:
        """
        The e-mails to ask find-lead for, instead of the listing before the next send.

        Args:
            pages: Requests that the last listing took.
            sent: E-mails of the newest sends, in their order.
            following: E-mails of the next contacts to be sent.

        Returns:
            The first one is of a contact that was sent; none = list the client.
        """
        has_rested, pages_now = self._has_rested(now), self._pages_now(pages)
        if has_rested and pages_now <= sends_left * LARGEST_PART_OF_SENDS_LEFT:
            return []
        first = sent[-1:] if self._is_checked else sent
        emails = [*first, *(following if has_rested else ())]
        return emails if first and len(emails) < pages_now else []

    def is_due(self, now: float, pages: int) -> bool:
        """Whether to look beside the sends; `pages` = requests that the last listing took."""
        if any(time <= now for time in self._times):
            return True
        return now - self._looked_at >= SECONDS_BETWEEN_LOOKS and self.is_cheap(pages)

    def is_cheap(self, pages: int) -> bool:
        """Whether a listing takes but a small part of the requests so far."""
        return self._pages_now(pages) <= self._sends * LARGEST_PART_OF_REQUESTS

    def _pages_now(self, pages: int) -> float:
        """Requests that a listing takes after the sends since the last one."""
        return pages + (self._sends - self._sends_listed) * self._pages_a_send
