"""
How many rows a page of a listing is asked for with: a state machine without a clock.

A page that is too large for a service fails every time, and a service that is down fails at every
size; the first failures of both look alike. So two failures in a row halve the size, and so does
each further one. Where the smallest size fails too, the size was not the cause, and it is put
back. After a smaller size was served a larger one is tried again, until one of them fails: an
outage costs no more than a few small pages, and a size that is too large costs one more failure.
"""

import threading

SMALLEST = 10
FAILURES_BEFORE_HALVING = 2


class PageSize:
    """
    The size of the pages of one listing, which several threads may share.

    Args:
        largest: What the service takes at most.

    Attributes:
        rows: The size to ask for now.
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
        A page of so many rows failed, as a smaller one may not.

        Returns:
            Whether the next one is smaller.
        """
        with self._lock:
            if rows == self.rows:
                self._shrink()
            return self.rows < rows

    def _shrink(self) -> None:
        self._failures += 1
        if self.rows > self._served:
            # A trial: the size before was served a moment ago.
            self._too_large, self._failures, self.rows = self.rows, 0, self._served
        elif self._failures < FAILURES_BEFORE_HALVING:
            return
        elif self.rows > SMALLEST:
            self.rows = max(SMALLEST, self.rows // 2)
        else:
            self.rows, self._failures = self._served, 0

    def served(self, rows: int) -> None:
        """A page of so many rows came."""
        with self._lock:
            if rows != self.rows:
                return
            self._served, self._failures = rows, 0
            larger = min(2 * rows, self._largest)
            if larger < self._too_large:
                self.rows = larger
