"""Amendments that change nothing of what becomes of their contacts: a person is told of them."""

from migrator.progress import Talk
from migrator.stage import Counters
from migrator.text import one_line


def without_effect(counters: Counters, talk: Talk) -> str:
    """Name the first of them; return what a summary says of all."""
    if not counters.ineffective:
        return ""
    ids = [one_line(one) for one in counters.ineffective_examples]
    more = ", ..." if counters.ineffective > len(ids) else ""
    talk.say(
        f"amended without effect under the mapping in force: {', '.join(ids)}{more}; "
        f"see: migrator show {ids[0]}"
    )
    return f" · {counters.ineffective:,} amended without effect"
