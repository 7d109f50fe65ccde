"""
Whether a sweep met as many contacts as HubSpot counts: pure functions of numbers.

A list that loses its `paging` ends early, and nothing else tells. HubSpot's count comes from its
search, which lags a little behind the list: so a small difference is said and is no failure.
"""

from dataclasses import dataclass

from migrator.text import count_noun

# More than this, or a tenth, is no lag.
MOST_LACKING = 10


@dataclass(frozen=True)
class Completeness:
    """
    A sweep that reached the end of the list, beside HubSpot's own count.

    Args:
        met: Contacts that the sweep met, each counted once.
        odd: Rows of its list that were left out: they were met too, and are named elsewhere.
        counted: Contacts by HubSpot's count; `None` = there is no count.
        why_not: Why there is none.
    """

    met: int
    odd: int
    counted: int | None
    why_not: str = ""

    @property
    def lacking(self) -> int:
        """How many the count has and the sweep has not; below 0 = the sweep met more."""
        return 0 if self.counted is None else self.counted - self.met - self.odd

    @property
    def is_whole(self) -> bool:
        """
        Whether what is lacking can be a lag of the count, and what is odd an exception.

        The trigger `ledger_is_forgotten_when_finished` has the same rule.
        """
        is_lag = self.lacking <= MOST_LACKING and 10 * self.lacking < (self.counted or 0)
        is_exception = self.odd <= MOST_LACKING or 10 * self.odd < self.met + self.odd
        return (self.lacking <= 0 or is_lag) and is_exception

    def words(self) -> str:
        """What a person should know of it; "" = nothing."""
        if self.counted is None:
            return f"not compared with HubSpot's own count: {self.why_not}"
        if self.lacking == 0:
            return ""
        counts = f"HubSpot counts {count_noun(self.counted, 'contact')}"
        if self.lacking > 0:
            return f"{counts}, {self.lacking:,} more than its list gave"
        return f"{counts}, {-self.lacking:,} fewer than its list gave"

    def why_not_whole(self) -> str:
        """What makes the list not whole, in words; "" = nothing."""
        if self.is_whole:
            return ""
        return self.words() if self.lacking > 0 else "too many rows of HubSpot's list are odd"
