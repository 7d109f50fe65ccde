"""How long a service may be away that was there before: a number and two moments."""


class OutageBudget:
    """
    The patience with one service, which several threads share. Moments are the callers'.

    It must be earned: a service that never answered is a wrong address rather than an outage.

    Args:
        seconds: How long it may be away at a stretch; 0 = not at all.

    Attributes:
        is_earned: Whether it has answered.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.is_earned = False
        self._missed_at: float | None = None
        self._answered_at: float | None = None
        self._outage: tuple[float, float] | None = None

    def answered(self, now: float) -> None:
        """It is there."""
        self.is_earned, self._missed_at, self._answered_at = True, None, now

    def failed(self, since: float, now: float) -> None:
        """A read that was begun then has not found it, so far."""
        # It may have gone away as soon as it had answered last.
        self._outage = since if self._answered_at is None else self._answered_at, now

    def was_away(self, since: float, until: float) -> bool:
        """Whether it may have been away between these moments, as its last outage tells."""
        if self._outage is None:
            return False
        began, ended = self._outage
        return began <= until and since <= ended

    def missed(self, since: float) -> None:
        """It has not been there since then."""
        if self._missed_at is None:
            self._missed_at = since

    def away_seconds(self, now: float) -> float:
        """For how long it has been away, for people; `0` = it is there, as far as is known."""
        missed_at = self._missed_at
        return 0.0 if missed_at is None else now - missed_at

    def waiting_for(self, service: str, now: float) -> str:
        """What to read after "waiting for" meanwhile."""
        if self._missed_at is None:
            return f"{service} to allow more"
        minutes = int(self.away_seconds(now) // 60)
        away = f", away for {minutes:,} min" if minutes else ""
        return f"{service} to answer again{away}"

    def left_seconds(self, since: float, now: float) -> float:
        """For how long yet whoever has asked since then, in vain, is to ask again."""
        if not self.is_earned:
            return 0.0
        # Whoever comes later shares what is left: several in a row would wait for a multiple.
        missed_at = since if self._missed_at is None else min(since, self._missed_at)
        return max(0.0, missed_at + self.seconds - now)

    def left_for_a_wait_seconds(self, since: float, now: float) -> float:
        """For how long yet to keep to a wait that the service itself asked for; it is there."""
        return max(0.0, since + self.seconds - now)

    def lasts(self, since: float, now: float) -> bool:
        """Whether whoever has asked since then, in vain, is to ask again."""
        return self.left_seconds(since, now) > 0

    def end(self) -> None:
        """Wait no more: nothing is left that would be worth it."""
        self.seconds = 0.0
