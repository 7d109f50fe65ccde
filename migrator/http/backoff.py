"""How long to wait between retries."""


def backoff_seconds(tries: int, first: float = 0.5, longest: float = 30.0) -> float:
    """The longest wait after `tries` tries: `first`, doubled with each try, up to `longest`."""
    doublings = min(max(0, tries - 1), 64)  # more would overflow a float
    return float(min(longest, first * 2**doublings))
