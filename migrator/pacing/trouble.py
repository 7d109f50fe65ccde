"""How long to leave alone a service that fails, and when to stop: pure functions of counts."""


def backoff_seconds(tries: int, first: float = 0.5, longest: float = 30.0) -> float:
    """How long to wait at the most before try number `tries + 1`: doubling, up to `longest`."""
    doublings = min(max(0, tries - 1), 64)  # further ones would outgrow a float, not the bound
    return float(min(longest, first * 2**doublings))


# So many rounds of sends in a row may come to nothing: the first ones are bad luck, from then on
# one send at a time finds out whether the service is back, and after the last the run stops.
ROUNDS_OF_BAD_LUCK = 3
ROUNDS_BEFORE_STOPPING = 9


def is_troubled(rounds: int) -> bool:
    """Whether so many rounds that came to nothing are more than bad luck."""
    return rounds >= ROUNDS_OF_BAD_LUCK


def is_down(rounds: int) -> bool:
    """Whether to stop the run after so many rounds that came to nothing."""
    return rounds >= ROUNDS_BEFORE_STOPPING


def trouble_pause_seconds(rounds: int) -> float:
    """How long to leave the service alone after so many rounds that came to nothing."""
    if not is_troubled(rounds):
        return 0.0
    return backoff_seconds(rounds - ROUNDS_OF_BAD_LUCK + 1, first=1.0, longest=8.0)
