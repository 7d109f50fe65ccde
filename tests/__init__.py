"""The tests, and what they share: the places that they look at."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "migrator"


def at_once() -> None:
    """The `may_leave` of a send that nothing holds back."""
