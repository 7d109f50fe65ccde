"""How long to leave alone a service that fails: a pure function of a count."""


def backoff_seconds(tries: int, first: float = 0.5, longest: float = 30.0) -> float:
    """How long to wait at the most before try number `tries + 1`: doubling, up to `longest`."""
    doublings = min(max(0, tries - 1), 64)  # further ones would outgrow a float, not the bound
    return float(min(longest, first * 2**doublings))
