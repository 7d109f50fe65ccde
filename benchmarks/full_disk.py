"""
A real file system that is full, at one write after the other: `python -m benchmarks.full_disk`.

It mounts a small tmpfs, so it wants to be root. Each push finds a little more room than the one
before, until the last one ends; the judge then says whether anything was lost or sent twice.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.judge import judge, posts
from migrator.errors import ExitCode
from migrator.sandbox import Sandbox
from tests.support.processes import Operator

SETTLE = 1.0
SIZE = 8 << 20
PUSH = f"push --resume --rate max --workers 4 --settle {SETTLE:g} --canary 0"
ROOMS = [4096 * pages for pages in (*range(14), *range(14, 64, 5), *range(64, 1024, 32))]


def main() -> int:
    """Print what each command said on the full disk; 0 when all of it ended well."""
    with small_disk() as folder, Sandbox(contacts=60) as sandbox:
        operator = Operator(folder, sandbox)
        surprises = [said for said in fill_again_and_again(operator) if said not in EXPECTED]
        (folder / "filler").unlink()
        ended = operator.run("stage").code, operator.run(PUSH).code
        judge(sandbox, operator.ledger, SETTLE)
    print(f"then: stage {ended[0]}, push {ended[1]}, and the judge found nothing lost or doubled")
    return len(surprises) + sum(ended)


EXPECTED = {(ExitCode.LEDGER, True), (ExitCode.DONE, False)}


def fill_again_and_again(operator: Operator) -> Iterator[tuple[int, bool]]:
    """The exit code of each command until it is done, and whether it said that the disk is full."""
    for words in ("stage", PUSH):
        for room in ROOMS:
            leave(operator.folder, room)
            before = len(posts(operator.sandbox))
            result = operator.run(words)
            sent = len(posts(operator.sandbox)) - before
            says_so = "full" in result.err and "next: free some space" in result.err
            told = result.err.rpartition("error: ")[2].partition("\n")[0]
            print(f"{words[:5]} {room >> 10:4} KB: {result.code}, {sent:2} sent  {told}")
            yield result.code, says_so
            if result.code == ExitCode.DONE:
                break
        else:
            raise SystemExit(f"{words}: not done with {ROOMS[-1]:,} bytes either")


def leave(folder: Path, room: int) -> None:
    """Fill the disk but for this much."""
    filler = folder / "filler"
    filler.unlink(missing_ok=True)
    free = os.statvfs(folder)
    filler.write_bytes(bytes(max(0, free.f_bfree * free.f_bsize - room)))


@contextmanager
def small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", folder]
        subprocess.run(mount, check=True)  # noqa: S603 - as written here
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)  # noqa: S603, S607


if __name__ == "__main__":
    sys.exit(main())
