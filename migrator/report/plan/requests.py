"""
How many requests a push takes, and how long they take at a pace. Arithmetic only.

It is a lower bound: doubts, throttling and reads that lag cost more, and nobody knows how much.
"""

import math
from dataclasses import dataclass

# As `leadgenius` and `push` have them; a test compares.
LEADS_PER_PAGE = 1_000
LEADS_BETWEEN_CHECKS = 200
TOKEN_SECONDS = 3_600


@dataclass(frozen=True)
class RequestEstimate:
    """
    Requests to LeadGenius, by what they are for.

    Args:
        look: Before the first post, through the client.
        settle: To look for what is in doubt.
        canary: To read the first leads back.
        leads: One for each.
        checks: Whether the client is still there.
        verification: Of a `verify` afterwards; not of the push.
        per_minute: The pace that is reckoned with.
    """

    look: int
    settle: int
    canary: int
    leads: int
    checks: int
    verification: int
    per_minute: float

    @property
    def push(self) -> int:
        """All of the push."""
        return self.look + self.settle + self.canary + self.leads + self.checks

    @property
    def seconds(self) -> float:
        """How long the push takes at that pace."""
        return 60 * self.push / self.per_minute

    @property
    def logins(self) -> int:
        """Tokens that a push of that length uses up."""
        return math.ceil(self.seconds / TOKEN_SECONDS)


def reckon(
    *, leads: int, there: int, looks: int, in_doubt: int, canary: bool, per_minute: float
) -> RequestEstimate:
    """
    Reckon what a push takes.

    Args:
        leads: To be sent.
        there: Leads that the client has already, as far as is known.
        looks: How often it looks through the client before it sends.
        in_doubt: Contacts to be looked for.
        canary: Whether the first leads are read back.
    """
    # Whoever lists a client asks at the end whether it is still there.
    listing = _pages(there) + 1
    is_anything_sent = leads > 0
    return RequestEstimate(
        look=looks * listing,
        settle=listing if in_doubt else 0,
        # It lists as far as it must, and asks for nothing more once they are seen.
        canary=_pages(there) if canary and is_anything_sent else 0,
        leads=leads,
        # At the beginning, on the way and at the end.
        checks=1 + leads // LEADS_BETWEEN_CHECKS + is_anything_sent,
        verification=1 + _pages(there + leads) + 1,
        per_minute=per_minute,
    )


def _pages(leads: int) -> int:
    return max(1, math.ceil(leads / LEADS_PER_PAGE))
