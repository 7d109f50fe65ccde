"""
The number of rows to request per page: it shrinks while pages fail, and grows again.

A page that is too large fails every time, and a service that is down fails at every size; the first
failures of both look alike. So two failures in a row halve the size, and so does each further one.
If the smallest size fails too, the size was not the cause, and it is restored. After a smaller page
succeeds, larger ones are tried until one fails. So an outage costs a few small pages, and a size
that is too large costs one more failure.
"""

import threading

SMALLEST = 10
FAILURES_BEFORE_HALVING = 2


class PageSize:
    """
    The page size of one listing, which several threads may share.

    Args:
        largest: The largest size that the service accepts.

    Attributes:
        rows: The size to request now.
    """

    def __init__(self, largest: int) -> None:
        self._lock = threading.Lock()
        self._largest = largest
        self._too_large = largest + 1
        self._served = largest
        self._failures = 0
        self.rows = largest

    def failed(self, rows: int) -> bool:
        """
        Record that a page of this size failed in a way that a smaller one might not.

        Returns:
            Whether the next page is smaller.
        """
        with self._lock:
            if rows == self.rows:
                self._shrink()
            return self.rows < rows

    def _shrink(self) -> None:
        self._failures += 1
        if self.rows > self._served:
            # A trial of a larger size failed; the size before has just succeeded.
            self._too_large, self._failures, self.rows = self.rows, 0, self._served
        elif self._failures < FAILURES_BEFORE_HALVING:
            return
        elif self.rows > SMALLEST:
            self.rows = max(SMALLEST, self.rows // 2)
        else:
            self.rows, self._failures = self._served, 0

    def served(self, rows: int) -> None:
        """Record that a page of this size succeeded."""
        with self._lock:
            if rows != self.rows:
                return
            self._served, self._failures = rows, 0
            larger = min(2 * rows, self._largest)
            if larger < self._too_large:
                self.rows = larger
