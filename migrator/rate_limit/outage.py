"""How long to wait for a service that is away but answered before."""


class OutageBudget:
    """
    The time that one service may be away at a stretch, shared by several threads.

    It applies only after a first answer: a service that never answered is a wrong address rather
    than an outage. Times are the callers', in seconds on a monotonic clock.

    Args:
        seconds: How long the service may be away; 0 = do not wait.

    Attributes:
        is_earned: Whether the service has ever answered.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.is_earned = False
        self._missed_at: float | None = None
        self._answered_at: float | None = None
        self._outage: tuple[float, float] | None = None

    def answered(self, now: float) -> None:
        """Note an answer."""
        self.is_earned, self._missed_at, self._answered_at = True, None, now

    def failed(self, since: float, now: float) -> None:
        """Note that a read begun at `since` has failed so far."""
        # The outage may have begun right after the last answer.
        self._outage = since if self._answered_at is None else self._answered_at, now

    def was_away(self, since: float, until: float) -> bool:
        """Whether the last outage may overlap this period."""
        if self._outage is None:
            return False
        began, ended = self._outage
        return began <= until and since <= ended

    def missed(self, since: float) -> None:
        """Note that the service has been away since this time."""
        if self._missed_at is None:
            self._missed_at = since

    def away_seconds(self, now: float) -> float:
        """How long the service has been away, for messages; `0` = as far as known, it is not."""
        missed_at = self._missed_at
        return 0.0 if missed_at is None else now - missed_at

    def waiting_for(self, service: str, now: float) -> str:
        """Words that complete "waiting for"."""
        if self._missed_at is None:
            return f"{service} to allow more"
        minutes = int(self.away_seconds(now) // 60)
        away = f", away for {minutes:,} min" if minutes else ""
        return f"{service} to answer again{away}"

    def left_seconds(self, since: float, now: float) -> float:
        """How much longer to retry a read that has failed since this time."""
        if not self.is_earned:
            return 0.0
        # Later reads share what is left; several in a row must not wait for a multiple.
        missed_at = since if self._missed_at is None else min(since, self._missed_at)
        return max(0.0, missed_at + self.seconds - now)

    def left_for_a_wait_seconds(self, since: float, now: float) -> float:
        """How much longer to accept waits that the service itself asks for."""
        return max(0.0, since + self.seconds - now)

    def lasts(self, since: float, now: float) -> bool:
        """Whether to retry a read that has failed since this time."""
        return self.left_seconds(since, now) > 0

    def end(self) -> None:
        """Do not wait for the service any more."""
        self.seconds = 0.0
