"""How long to wait for a service that is away but answered before."""


class OutageBudget:
    """
    The time that one service may be away at a stretch, shared by several threads.

    It applies only after a first answer: a service that never answered is a wrong address rather
    than an outage. Times are the callers', in seconds on a monotonic clock.

    Args:
        seconds: How long the service may be away; 0 = do not wait.

    Attributes:
        has_answered: Whether the service has ever answered.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.has_answered = False
        self._away_since: float | None = None
        self._answered_at: float | None = None
        self._outage: tuple[float, float] | None = None

    def answered(self, now: float) -> None:
        """Record an answer."""
        self.has_answered, self._away_since, self._answered_at = True, None, now

    def failed(self, since: float, now: float) -> None:
        """Record that a read begun at `since` has failed so far."""
        # The outage may have begun right after the last answer.
        self._outage = since if self._answered_at is None else self._answered_at, now

    def was_away(self, since: float, until: float) -> bool:
        """Whether the last outage may overlap this period."""
        if self._outage is None:
            return False
        began, ended = self._outage
        return began <= until and since <= ended

    def set_away(self, since: float) -> None:
        """Record that the service has been away since this time."""
        if self._away_since is None:
            self._away_since = since

    def away_seconds(self, now: float) -> float:
        """How long the service has been away, for messages; `0` = not, as far as known."""
        away_since = self._away_since
        return 0.0 if away_since is None else now - away_since

    def waiting_for(self, service: str, now: float) -> str:
        """Words that complete "waiting for"."""
        if self._away_since is None:
            return f"{service} to allow more"
        minutes = int(self.away_seconds(now) // 60)
        away = f", away for {minutes:,} min" if minutes else ""
        return f"{service} to answer again{away}"

    def left_seconds(self, since: float, now: float) -> float:
        """How much longer to retry a read that has failed since this time."""
        if not self.has_answered:
            return 0.0
        # Later reads share what is left: several in a row must not each wait for all of it.
        away_since = since if self._away_since is None else min(since, self._away_since)
        return max(0.0, away_since + self.seconds - now)

    def left_for_a_wait_seconds(self, since: float, now: float) -> float:
        """How much longer to accept waits that the service itself asks for."""
        return max(0.0, since + self.seconds - now)

    def lasts(self, since: float, now: float) -> bool:
        """Whether to retry a read that has failed since this time."""
        return self.left_seconds(since, now) > 0

    def end(self) -> None:
        """Do not wait for the service any more."""
        self.seconds = 0.0
