"""
Looking at a ledger in the barest form: SQLAlchemy, one statement, and a table by rich.

    python look.py DATABASE contact
    python look.py DATABASE sums

`contact` shows one contact by its id; `sums` reads each table once: contacts by state and reason,
sends by outcome, moves by their ends. It checks nothing, and compares no sum with another.
"""

import sys

from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, text

STATEMENTS = {
    "contact": ["SELECT hubspot_id, state, held, lead FROM contact WHERE hubspot_id = '51'"],
    "sums": [
        "SELECT state, held, count(*) FROM contact GROUP BY 1, 2",
        "SELECT kind, outcome, count(*) FROM attempt GROUP BY 1, 2",
        "SELECT source, target, count(*) FROM event GROUP BY 1, 2",
    ],
}

_, database, what = sys.argv
engine = create_engine(f"sqlite:///file:{database}?mode=ro&uri=true")
with engine.connect() as connection:
    for statement in STATEMENTS[what]:
        found = connection.execute(text(statement))
        shown = Table(*found.keys())
        for row in found:
            shown.add_row(*map(str, row))
        Console().print(shown)
