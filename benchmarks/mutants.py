"""
Which small faults the tests do not notice: `python -m benchmarks.mutants --sample 22`.

Each mutant (see `mutation`) is put into a copy of the tree, and the tests that are about its module
run on it, a second, wider set where the first noticed nothing. The tests of a mutant run in a fork
of this process, which has imported the libraries, but nothing of the package: that takes a quarter
of what a new interpreter takes. mutmut forks too, but makes no mutants of properties and class
bodies, draws no sample, and runs its tests in one process; cosmic-ray starts an interpreter and
one set of tests for every mutant. So it gives the operators only.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import NoReturn

import hypothesis
import jinja2  # noqa: F401 - for the tests, like those below
import pytest
import requests  # noqa: F401
import rich.progress  # noqa: F401
import sqlalchemy.dialects.sqlite  # noqa: F401

from benchmarks import process_tree
from benchmarks.mutation import Mutant, mutants
from benchmarks.sabotage import ROOT, copied
from benchmarks.table import write_between

PACKAGE = ROOT / "migrator"
PAGE = ROOT / "docs" / "reliability.md"
LONGEST_SECONDS = 600
LONGEST_TEST_SECONDS = 60
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.txt")
ROOMS = ("push", "doubts.py", "ledger", "http", "stage/changes.py", "mapping", "audit")

# The tests that are about a file or a room, the longest match; a few seconds each.
FIRST: Mapping[str, str] = {
    "push": "unit/test_canary.py unit/test_verdicts.py integration/test_push.py",
    "push/breaker.py": "unit/test_breaker.py",
    "push/looks.py": "unit/test_looks.py",
    "push/queue.py": "unit/test_queue.py",
    "push/seen_leads.py": "integration/test_update.py",
    "push/reader.py": "unit/test_reader.py integration/test_update.py",
    "push/stops.py": "unit/test_stops.py",
    "push/workers.py": "unit/test_workers.py",
    "doubts.py": "unit/test_doubts.py",
    "ledger": "integration/test_ledger.py",
    "ledger/amendments.py": "integration/test_amend.py",
    "ledger/attempts.py": "integration/test_ledger.py integration/test_update.py",
    "ledger/copies.py": "integration/test_copies.py",
    "ledger/database.py": "integration/test_ledger.py integration/test_copies.py",
    "ledger/erasure.py": "integration/test_forget.py",
    "ledger/files.py": "integration/test_read_only.py",
    "ledger/fingerprint.py": "crash/test_fingerprint.py",
    "ledger/integrity.py": "crash/test_integrity.py",
    "ledger/lock.py": "crash/test_inode_lock.py integration/test_private_files.py",
    "ledger/lookup.py": "integration/test_show.py",
    "ledger/mappings.py": "integration/test_remapping.py",
    "ledger/opening.py": "crash/test_inode_lock.py integration/test_ledger.py",
    "ledger/probes.py": "integration/test_probe_records.py",
    "ledger/reconcile.py": "integration/test_verify.py",
    "ledger/since_sent.py": "integration/test_since_sent.py",
    "ledger/source_moves.py": "integration/test_source_moves.py",
    "ledger/undoing.py": "integration/test_undo.py",
    "ledger/updates.py": "integration/test_update.py",
    "ledger/verification.py": "integration/test_verify.py",
    "http": "integration/test_http.py",
    "http/page_size.py": "unit/test_page_size.py",
    "http/responses.py": "unit/test_responses.py integration/test_http.py",
    "http/redaction.py": "unit/test_redaction.py",
    "stage/changes.py": "unit/test_changes.py integration/test_source_moves.py",
    "mapping": "unit/test_mapping.py",
    "mapping/data_quality.py": "unit/test_data_quality.py",
    "mapping/emails.py": "unit/test_emails.py",
    "mapping/overrides.py": "unit/test_overrides.py",
    "mapping/parser.py": "unit/test_mapping_file.py",
    "mapping/rules.py": "unit/test_mapping_file.py",
    "audit": "integration/test_audit.py",
    "audit/identity.py": "unit/test_audit_identity.py integration/test_audit.py",
    "audit/proof.py": "integration/test_audit.py integration/test_audit_writes.py",
    "audit/write_rules.py": "unit/test_write_rules.py integration/test_audit_writes.py",
}
# For what the first set did not notice.
WIDER: Mapping[str, str] = {
    "push": "integration/test_push.py integration/test_odd_answers.py integration/test_update.py "
    "unit/test_workers.py crash/test_outages.py",
    "doubts.py": "integration/test_push.py integration/test_odd_rows.py",
    "ledger": "integration/test_ledger.py integration/test_report.py integration/test_retry.py "
    "integration/test_plan.py",
    "http": "integration/test_leadgenius.py integration/test_hubspot.py "
    "integration/test_odd_answers.py integration/test_http.py",
    "stage/changes.py": "integration/test_stage.py integration/test_remapping.py "
    "integration/test_amend.py integration/test_forget_contact.py",
    "mapping": "unit/test_mapping.py unit/test_mapping_file.py integration/test_mapping_command.py "
    "unit/test_findings.py",
    "audit": "integration/test_audit.py integration/test_audit_writes.py "
    "integration/test_findings_used.py integration/test_forget_contact.py",
}


@dataclass
class Trial:
    """
    Tests that run on a tree.

    Args:
        mutant: What was changed there; `None` = nothing, to see that the tests pass.
        waiting: The sets of tests that follow if these pass.
        until: When they have taken too long, on the monotonic clock.
    """

    mutant: Mutant | None
    tests: str
    waiting: list[str]
    until: float = float("inf")
    is_late: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the tests made of a mutant: `killed`, `timed out`, `equivalent` or `survived`."""

    mutant: Mutant
    word: str
    old: str = ""
    new: str = ""


class Trees:
    """Copies of the tree, one for each trial at a time; what runs in them dies with its trial."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self._free = [copied(folder / str(number)) for number in range(jobs)]
        self._running: dict[int, tuple[Path, Trial]] = {}
        self._writes = 0
        process_tree.adopt_orphans()

    def verdicts(self, all_of_them: Sequence[Mutant]) -> Iterator[Verdict]:
        """
        Try them all, as many at a time as there are trees.

        Raises:
            SystemExit: tests fail on the tree as it is, so that they would kill any mutant.
        """
        waiting = [
            Trial(one, _matching(FIRST, one.file), [_wider(one.file)])
            for one in reversed(all_of_them)
        ]
        try:
            yield from self._tried(waiting)
        finally:
            process_tree.kill_all()

    def _tried(self, waiting: list[Trial]) -> Iterator[Verdict]:
        failed, passed = set[str](), set[str]()
        while waiting or self._running:
            while self._free and waiting:
                self._start(waiting.pop())
            for trial, code in self._ended():
                (failed if code else passed).add(trial.tests)
                if trial.mutant is None and code:
                    raise SystemExit(f"{trial.tests}: fails without any mutant")
                if trial.mutant is not None and not code and trial.waiting:
                    waiting.insert(0, Trial(trial.mutant, trial.waiting[0], trial.waiting[1:]))
                elif trial.mutant is not None:
                    yield _verdict(trial, code)
            if not waiting and not self._running:
                # Tests that noticed every mutant may fail whatever they are run on.
                waiting += [Trial(None, tests, []) for tests in failed - passed]

    def _start(self, trial: Trial) -> None:
        tree = self._free.pop()
        trial.until = time.monotonic() + LONGEST_SECONDS
        if trial.mutant is not None:
            file = PACKAGE / trial.mutant.file
            original = file.read_text(encoding="utf-8")
            self._write(tree, trial.mutant.file, trial.mutant.source(original))
        pid = os.fork()
        if pid == 0:
            _test(tree, trial.tests)
        self._running[pid] = tree, trial

    def _ended(self) -> Iterator[tuple[Trial, int]]:
        time.sleep(0.05)
        for pid, (tree, trial) in list(self._running.items()):
            if time.monotonic() > trial.until:
                trial.is_late = True
                self._kill(pid)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._running[pid]
            self._kill_strays()
            if trial.mutant is not None:
                original = (PACKAGE / trial.mutant.file).read_text(encoding="utf-8")
                self._write(tree, trial.mutant.file, original)
            shutil.rmtree(tree / ".tmp", ignore_errors=True)
            self._free.append(tree)
            yield trial, os.waitstatus_to_exitcode(status)

    def _kill(self, pid: int) -> None:
        below = process_tree.descendants(pid)
        process_tree.send(signal.SIGKILL, pid, *(one.pid for one in below))

    def _kill_strays(self) -> None:
        """Kill what ended trials left running, and reap what they left behind."""
        ours = set(self._running)
        for one in process_tree.descendants(os.getpid()):
            if one.parent == os.getpid() and one.pid not in ours:
                self._kill(one.pid)

    def _write(self, tree: Path, file: str, source: str) -> None:
        """Python compiles a file anew if its time, in seconds, or its size differs."""
        path = tree / "migrator" / file
        path.write_text(source, encoding="utf-8")
        self._writes += 1
        os.utime(path, (self._writes, self._writes))


def _test(tree: Path, tests: str) -> NoReturn:
    """Be the process that runs these tests, in that tree."""
    folder = tree / ".tmp"
    folder.mkdir()
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.chdir(tree)
    os.environ.update(PYTHONPATH=str(tree), TMPDIR=str(folder))
    tempfile.tempdir = None
    hypothesis.configuration.set_hypothesis_home_dir(folder)
    sys.path[0] = str(tree)
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]
    output = os.open(tree / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    words = f"-q -x -n 0 -p no:cacheprovider --hypothesis-seed 0 -o timeout={LONGEST_TEST_SECONDS}"
    late = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis is imported here already
    files = [f"tests/{name}" for name in tests.split()]
    code = 70
    try:
        code = int(pytest.main([*words.split(), "-W", late, *files]))
        sys.stdout.flush()
    finally:
        os._exit(code)


def _matching(table: Mapping[str, str], file: str) -> str:
    return table[max((name for name in table if file.startswith(name)), key=len)]


def _wider(file: str) -> str:
    first = _matching(FIRST, file).split()
    return " ".join(name for name in _matching(WIDER, file).split() if name not in first)


def _verdict(trial: Trial, code: int) -> Verdict:
    if trial.mutant is None:
        raise TypeError("a trial without a mutant has no verdict")
    if code != 0:
        return Verdict(trial.mutant, "timed out" if trial.is_late else "killed")
    old, new = trial.mutant.change((PACKAGE / trial.mutant.file).read_text(encoding="utf-8"))
    is_known = (trial.mutant.file, old, new) in known_equivalents()
    return Verdict(trial.mutant, "equivalent" if is_known else "survived", old, new)


def known_equivalents() -> Mapping[tuple[str, str, str], str]:
    """
    The mutants that no test can kill, with the reason: (file, old line, new line) -> why.

    The file has four lines and an empty one for each: `push/loop.py`, `- old`, `+ new`, why.
    """
    blocks = EQUIVALENT.read_text(encoding="utf-8").strip().split("\n\n")
    found = {}
    for block in filter(None, blocks):
        file, old, new, why = block.split("\n", 3)
        found[file, old.removeprefix("- "), new.removeprefix("+ ")] = why
    return found


def of_room(room: str) -> Sequence[Mutant]:
    """All mutants of a room, or of a module that stands for one."""
    path = PACKAGE / room
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    return [one for file in files for one in mutants(PACKAGE, str(file.relative_to(PACKAGE)))]


def _table(made: Mapping[str, Sequence[Mutant]], verdicts: Iterable[Verdict]) -> str:
    counts = {room: Counter[str]() for room in made}
    for one in verdicts:
        counts[next(room for room in made if one.mutant.file.startswith(room))][one.word] += 1
    lines = [
        "| room | mutants | tried | killed | equivalent | survived | score |",
        "| --- " * 7 + "|",
    ]
    for room, count in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        killed = count["killed"] + count["timed out"]
        number = sum(len(made[one]) for one in made if room in (one, "all"))
        share = killed / (killed + count["survived"] or 1)
        lines.append(
            f"| {room} | {number:,} | {count.total()} | {killed} | {count['equivalent']} "
            f"| {count['survived']} | {share:.0%} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Try mutants; 1 = one that is not known to be equivalent survived."""
    parser = argparse.ArgumentParser(description="Which small faults the tests do not notice.")
    parser.add_argument("--sample", type=int, metavar="N", help="of each room (default: all)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the sample")
    parser.add_argument("--room", action="append", choices=ROOMS, help="only this one")
    parser.add_argument("--at", metavar="FILE:LINE", help="only those of a line: push/loop.py:12")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="at a time")
    parser.add_argument("--tests", action="store_true", help="print the tests, and do nothing")
    parser.add_argument("--write", action="store_true", help="put the table into docs/")
    args = parser.parse_args()
    if args.tests:
        sets = chain(FIRST.values(), WIDER.values())
        print(*sorted({f"tests/{name}" for tests in sets for name in tests.split()}))
        return 0
    made = {room: of_room(room) for room in args.room or ROOMS}
    dice = random.Random(args.seed)
    drawn = [
        dice.sample(of_it, min(args.sample or len(of_it), len(of_it))) for of_it in made.values()
    ]
    tried = [one for one in chain.from_iterable(zip_longest(*drawn)) if one is not None]
    if args.at:
        every = chain.from_iterable(made.values())
        tried = [one for one in every if f"{one.file}:{one.line}" == args.at]
    verdicts = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for one in Trees(Path(folder), args.jobs).verdicts(tried):
            verdicts.append(one)
            where = f"migrator/{one.mutant.file}:{one.mutant.line}"
            print(f"{len(verdicts)}/{len(tried)} {one.word} {where}", file=sys.stderr, flush=True)
            if one.word == "survived":
                print(f"{where} ({one.mutant.operator})\n- {one.old}\n+ {one.new}\n", flush=True)
    table = _table(made, verdicts)
    print(table)
    if args.write:
        write_between(PAGE, "mutants", table)
    return int(any(one.word == "survived" for one in verdicts))


if __name__ == "__main__":
    sys.exit(main())
