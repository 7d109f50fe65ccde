"""
Whether a scan of HubSpot's contacts saw as many as HubSpot counts: pure functions of numbers.

A list that loses its `paging` ends early without any other sign. HubSpot's count comes from its
search, which lags behind the list, so a small difference is reported but is not a failure.
"""

from dataclasses import dataclass

from migrator.text import count_noun

# A larger difference than this, or than a tenth, is not a lag.
MOST_LACKING = 10


@dataclass(frozen=True)
class Completeness:
    """
    A finished scan compared with HubSpot's count.

    Args:
        met: Contacts that the scan saw, each counted once.
        odd: Rows without a valid id that the scan saw and skipped.
        counted: Contacts by HubSpot's count; `None` = it is not available.
        why_not: Why it is not available.
    """

    met: int
    odd: int
    counted: int | None
    why_not: str = ""

    @property
    def lacking(self) -> int:
        """How many more contacts HubSpot counts than the scan saw; negative = fewer."""
        return 0 if self.counted is None else self.counted - self.met - self.odd

    @property
    def is_whole(self) -> bool:
        """
        Whether the difference is small enough for a lag of the count, and few rows are odd.

        The trigger `ledger_is_forgotten_when_finished` has the same rule.
        """
        is_lag = self.lacking <= MOST_LACKING and 10 * self.lacking < (self.counted or 0)
        is_exception = self.odd <= MOST_LACKING or 10 * self.odd < self.met + self.odd
        return (self.lacking <= 0 or is_lag) and is_exception

    def words(self) -> str:
        """A message about a difference; "" = there is none."""
        if self.counted is None:
            return f"not compared with HubSpot's own count: {self.why_not}"
        if self.lacking == 0:
            return ""
        counts = f"HubSpot counts {count_noun(self.counted, 'contact')}"
        if self.lacking > 0:
            return f"{counts}, {self.lacking:,} more than its list gave"
        return f"{counts}, {-self.lacking:,} fewer than its list gave"

    def why_not_whole(self) -> str:
        """Why the list is not complete; "" = it is."""
        if self.is_whole:
            return ""
        return self.words() if self.lacking > 0 else "too many rows of HubSpot's list are odd"
