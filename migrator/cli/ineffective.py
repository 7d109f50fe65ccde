"""Amendments that change nothing of what becomes of their contacts: a person is told of them."""

from migrator.progress import Display
from migrator.stage import StageCounters
from migrator.text import one_line


def without_effect(counters: StageCounters, display: Display) -> str:
    """Name the first of them; return what a summary says of all."""
    if not counters.ineffective:
        return ""
    ids = [one_line(one) for one in counters.ineffective_examples]
    more = ", ..." if counters.ineffective > len(ids) else ""
    display.say(
        f"amended without effect under the mapping in force: {', '.join(ids)}{more}; "
        f"see: migrator show {ids[0]}"
    )
    return f" · {counters.ineffective:,} amended without effect"
