"""
What a user would pick instead, measured against the same stand-in.

Owns nothing yet but the name of the case.
"""

from benchmarks.cases import Bench
from benchmarks.table import Row


def compared(bench: Bench) -> list[Row]:
    """Nothing so far."""
    return []
