"""
Estimate of the requests that a push takes, and of their duration at a given rate. Pure arithmetic.

It is a lower bound: settling doubts, throttling and eventual consistency add to it.
"""

import math
from dataclasses import dataclass

# Copies of the constants in `leadgenius` and `push`; a test compares them.
LEADS_PER_PAGE = 1_000
LEADS_BETWEEN_CHECKS = 200
TOKEN_SECONDS = 3_600


@dataclass(frozen=True)
class RequestEstimate:
    """
    Requests to LeadGenius, by purpose.

    Args:
        look: Listing the client before the first POST.
        settle: Listing it for contacts in doubt.
        canary: Reading the first leads back.
        leads: One POST for each lead.
        checks: Whether the client still exists.
        verification: A `verify` afterwards; not part of the push.
        per_minute: The rate that is assumed.
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
        """All requests of the push."""
        return self.look + self.settle + self.canary + self.leads + self.checks

    @property
    def seconds(self) -> float:
        """Duration of the push at that rate."""
        return 60 * self.push / self.per_minute

    @property
    def logins(self) -> int:
        """Access tokens that a push of that duration needs."""
        return math.ceil(self.seconds / TOKEN_SECONDS)


def estimate(
    *,
    leads: int,
    there: int,
    looks: int,
    in_doubt: int,
    canary: bool,
    per_minute: float,
    page_limit: int | None = None,
) -> RequestEstimate:
    """
    Estimate the requests of a push.

    Args:
        leads: Number of leads to send.
        there: Number of leads that the client is known to have.
        looks: Number of times that the client is listed before the first POST.
        in_doubt: Number of contacts in doubt.
        canary: Whether the first leads are read back.
        page_limit: Leads on a page, if a probe found out that it has fewer than asked for.
    """

    def pages_of(leads: int) -> int:
        return max(1, math.ceil(leads / (page_limit or LEADS_PER_PAGE)))

    # Each listing ends with a check that the client still exists.
    listing = pages_of(there) + 1
    is_anything_sent = leads > 0
    return RequestEstimate(
        look=looks * listing,
        settle=listing if in_doubt else 0,
        # It reads pages only until the leads are seen, and has no check at its end.
        canary=pages_of(there) if canary and is_anything_sent else 0,
        leads=leads,
        # At the start, on the way and at the end.
        checks=1 + leads // LEADS_BETWEEN_CHECKS + is_anything_sent,
        verification=1 + pages_of(there + leads) + 1,
        per_minute=per_minute,
    )
