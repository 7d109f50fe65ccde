"""
Very many contacts with one e-mail address: what each of them costs, and that one lead comes of it.

    python -m benchmarks.one_email --contacts 100000

It runs the real commands against a sandbox, first for 1,000 contacts and then for as many as are
asked for. The ratio of the two costs of one contact shows what grows with the number of the others.
"""

import argparse
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, redirect_stdout
from io import StringIO
from pathlib import Path

from migrator import cli
from migrator.sandbox import Sandbox

FEW = 1_000
EMAIL = "info@shared.example"
STEPS = (
    "stage -q",
    "push -q --rate max --canary 0 --settle 1",
    "verify -q --settle 1",
    "report -q",
    "stage -q",
    "retry -q --reason duplicate_email",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 1 = something came out wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--contacts", type=int, default=10_000)
    many = parser.parse_args(argv).contacts
    list(_measured(10))  # what is loaded once is loaded
    few_times, many_times = dict(_measured(FEW)), dict(_measured(many))
    print(f"{'':42} {FEW:>9,} {many:>9,} contacts; milliseconds for each, and their ratio")
    for step, seconds in many_times.items():
        each, before = 1000 * seconds / many, 1000 * few_times[step] / FEW
        print(f"{step:42} {before:9.3f} {each:9.3f}  x {each / before:.2f}")
    return 0


def _measured(contacts: int) -> Iterator[tuple[str, float]]:
    """Each step and its seconds; the first contact gets another e-mail before the last stage."""
    with tempfile.TemporaryDirectory() as folder, Sandbox(contacts=0) as sandbox:
        ids = [sandbox.add_contact({"firstname": "A", "email": EMAIL}) for _ in range(contacts)]
        for number, words in enumerate(STEPS):
            if number == 4:
                sandbox.change_contact(ids[0], email="other@shared.example")
            began = time.monotonic()
            _type(words, Path(folder), sandbox)
            yield (
                words if number != 4 else "stage -q, nothing new but the first",
                (time.monotonic() - began),
            )
        _check(Path(folder), sandbox, ids)


def _type(words: str, folder: Path, sandbox: Sandbox) -> None:
    """In this process: the start of another one would cost more than a thousand contacts."""
    os.environ.update(sandbox.environment())
    os.environ["LEADGENIUS_AUTH_FILE"] = str(folder / "auth.json")
    with redirect_stdout(StringIO()):
        code = cli.main([*words.split(), "--ledger", str(folder / "migrator.db")])
    if code:
        raise SystemExit(f"{words}: exit code {code}")


def _check(folder: Path, sandbox: Sandbox, ids: Sequence[str]) -> None:
    """One lead; the others held, naming the first."""
    if len(sandbox.held) != 1:
        raise SystemExit(f"there are {len(sandbox.held)} leads, and there should be one")
    with closing(sqlite3.connect(folder / "migrator.db")) as ledger:
        [held] = ledger.execute(
            "SELECT count(*) FROM contact WHERE held = 'duplicate_email' "
            "AND json_extract(detail, '$.contact') = ?",
            (ids[0],),
        ).fetchone()
    if held != len(ids) - 1:
        raise SystemExit(f"{held} of {len(ids) - 1} others are held")


if __name__ == "__main__":
    raise SystemExit(main())
