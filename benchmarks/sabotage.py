"""
The proofs on trial: `python -m benchmarks.sabotage` breaks the product on purpose, line by line.

Each sabotage is applied to a copy of the tree, so that there is nothing to revert; then the proofs
run on it, and one of them must fail. A sabotage that nobody notices is a hole in the proofs.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LONGEST_SECONDS = 900

DETECTORS = {
    "cuts": "-m benchmarks.cuts --verbs stage,push,settle,verify --every 9 --pairs 8 --seed 1 "
    "--first-fault",
    "model": "-m benchmarks.model --examples 60 --seed 1",
    "crash": "-m pytest -q -x -p no:cacheprovider tests/crash/test_crash.py",
    "bad contacts": "-m pytest -q -x -p no:cacheprovider tests/integration/test_bad_contacts.py",
    "place": "-m pytest -q -x -p no:cacheprovider -k any_commit tests/crash/test_cuts.py",
    "power cut": "-m benchmarks.power_cut",
    "hubspot": "-m pytest -q -x -p no:cacheprovider tests/integration/test_hubspot.py",
    "odd rows": "-m pytest -q -x -p no:cacheprovider tests/integration/test_odd_rows.py",
    "one sender": "-m pytest -q -x -p no:cacheprovider tests/crash/test_one_sender.py",
    "take-over": "-m pytest -q -x -p no:cacheprovider tests/crash/test_takeover.py",
    "two machines": "-m benchmarks.two_machines --dead 0 --frozen 12 --seed 1",
    "verify": "-m pytest -q -x -p no:cacheprovider tests/integration/test_verify.py",
    "update": "-m pytest -q -x -p no:cacheprovider tests/integration/test_update.py",
    "compare": "-m pytest -q -x -p no:cacheprovider tests/unit/test_compare_lead.py",
    "undo": "-m pytest -q -x -p no:cacheprovider tests/integration/test_undo.py",
    "deploy": "-m pytest -q -x -p no:cacheprovider tests/repository/test_deploy.py",
    "looks": "-m pytest -q -x -p no:cacheprovider tests/crash/test_update_looks.py",
}


@dataclass(frozen=True)
class Sabotage:
    """
    A change of the product, as text, and the proof that is to notice it.

    Args:
        file: Of the package, or in `deploy/`.
    """

    name: str
    file: str
    old: str
    new: str
    detector: str = "cuts"

    def path(self, tree: Path) -> Path:
        """The file, in a copy of the tree."""
        room = "" if self.file.startswith("deploy/") else "migrator"
        return tree / room / self.file


SABOTAGES: Sequence[Sabotage] = (
    Sabotage(
        "send before the intent is committed",
        "push/loop.py",
        "limiter.limit)\n            self._submit(claimed)",
        "limiter.limit)\n                self._submit(claimed)",
    ),
    Sabotage(
        "treat a time-out as not created",
        "http/client.py",
        "            return SendOutcome(None, answer=str(failure))",
        "            return SendOutcome(Outcome.UNSENT, answer=str(failure))",
    ),
    Sabotage(
        "treat a 500 as not created",
        "http/responses.py",
        "    429: Outcome.THROTTLED,\n",
        "    429: Outcome.THROTTLED,\n    500: Outcome.UNSENT,\n",
    ),
    Sabotage(
        "settle after a listing that broke off",
        "doubts.py",
        "            report(ListingFailed(error))",
        "            keys = frozenset(doubt.key for doubt in self._by_id.values())\n"
        "            report(ListingComplete(self._began_at, keys))",
        "model",
    ),
    Sabotage(
        "forget the settle time",
        "doubts.py",
        "if over + self._settle_seconds <= at]",
        "if over <= at]",
    ),
    Sabotage(
        "take a short page for the last one",
        "leadgenius/api.py",
        "            cursor = page.cursor\n            if cursor is None",
        "            cursor = page.cursor\n            if cursor is None or len(page.leads) < 7",
    ),
    Sabotage(
        "believe `total`",
        "leadgenius/api.py",
        "return LeadPage(leads, cursor_of(data), ",
        "return LeadPage(leads, cursor_of(data) if data['total'] >= LEADS_PER_PAGE else None, ",
    ),
    Sabotage(
        "take every company that a 207 lacks for gone",
        "hubspot_responses.py",
        'elif others := sorted(categories - {"OBJECT_NOT_FOUND"}):',
        "elif others := []:",
        "hubspot",
    ),
    Sabotage(
        "take a row without an id for nobody's lead",
        "doubts.py",
        "unsure = frozenset(self._unsure)",
        "unsure = frozenset()",
        "odd rows",
    ),
    Sabotage(
        "forget at the start what is in doubt",
        "push/loop.py",
        "for doubt in self.ledger.attempts.in_doubt():\n            self._doubts.add",
        "for doubt in self.ledger.attempts.in_doubt()[:0]:\n            self._doubts.add",
    ),
    Sabotage(
        "let the transport repeat a POST",
        "http/transport.py",
        "max_retries=0)",
        "max_retries=urllib3.Retry(2, allowed_methods=None))",
    ),
    Sabotage(
        "take a 201 without an id for a lead",
        "http/responses.py",
        "return success if proof else None",
        "return success",
    ),
    Sabotage(
        "keep the cursor before the page that it follows",
        "ledger/contacts.py",
        "        with self._database.transaction():\n            self._write_companies",
        '        self._runs.advance("extraction", page.cursor, new=len(page.new))\n'
        "        with self._database.transaction():\n            self._write_companies",
    ),
    Sabotage(
        "look through the client never",
        "push/__init__.py",
        "    if ledger.counts.to_send() or ledger.runs.unclaimed() or loop.sender.owes_looks:\n",
        "    if False:\n",
        "model",
    ),
    Sabotage(
        "count attempts of one run only",
        "ledger/attempts.py",
        "    \"AND outcome IN ('denied', 'absent')\"\n",
        "    \"AND outcome IN ('denied', 'absent') AND run_id = (SELECT max(id) FROM run)\"\n",
        "bad contacts",
    ),
    Sabotage(
        "take the same contact as a sample again",
        "push/queue.py",
        "chosen = self._spread(count) if spread else []",
        "chosen = self._writes.among(list(self._failures)[:count]) if spread else []",
        "bad contacts",
    ),
    Sabotage(
        "give every process a lock of its own",
        "ledger/lock.py",
        'path.with_name(path.name + ".lock")',
        'path.with_name(f"{path.name}.{os.getpid()}.lock")',
        "crash",
    ),
    Sabotage(
        "let the disk be lazy",
        "ledger/opening.py",
        '"synchronous = FULL",',
        '"synchronous = OFF",',
        "power cut",
    ),
    Sabotage(
        "trust marked leads",
        "doubts.py",
        "is_removed=is_removed(lead),",
        "is_removed=False,",
        "verify",
    ),
    Sabotage(
        "settle by a lead that was deleted before the send",
        "doubts.py",
        "if doubt and not (lead.is_removed and lead.lead_id in doubt.former)",
        "if doubt",
        "verify",
    ),
    Sabotage(
        "ask nothing right before a send",
        "push/loop.py",
        "        self.sender.check()\n",
        "",
        "take-over",
    ),
    Sabotage(
        "take over without the looks",
        "push/looks.py",
        "    if not sender.owes_looks:\n        return False",
        "    if True:\n        return False",
        "one sender",
    ),
    Sabotage(
        "believe a copy that its place is here",
        "journey/place.py",
        "    if intents == 0:\n        return False",
        "    if True:\n        return False",
        "one sender",
    ),
    Sabotage(
        "let every ledger send for the journey",
        "journey/sender.py",
        "        self._lock.acquire(LOCK_TIMEOUT_SECONDS)\n",
        "",
        "one sender",
    ),
    Sabotage(
        "compare with the base only",
        "comparison/compare.py",
        "    if told is not None and same_value(name, told, listed) and not is_taken:",
        "    if told is not None and not is_taken:",
        "update",
    ),
    Sabotage(
        "write on a look that is ten minutes old",
        "push/seen_leads.py",
        "LONGEST_LOOK_SECONDS = 60.0\n# A contact is claimed only if its look lasts long enough "
        "for the send to begin.\nLONGEST_LOOK_AT_CLAIM_SECONDS = 45.0",
        "LONGEST_LOOK_SECONDS = LONGEST_LOOK_AT_CLAIM_SECONDS = 600.0",
        "looks",
    ),
    Sabotage(
        "send notes that the listing does not show",
        "comparison/compare.py",
        "        if name not in there and name not in shown:\n"
        "            change.not_shown.append(name)\n            continue",
        "        if name not in there and name not in shown:\n            listed = told or ''",
        "update",
    ),
    Sabotage(
        "PUT all fields",
        "update/changes.py",
        "        if self._ledger.updates.replaces():\n            values =",
        "        if True:\n            values =",
        "update",
    ),
    Sabotage(
        "ignore appended notes",
        "comparison/compare.py",
        "    return _Merged(merged.text, every.text, merged.has_conflict)",
        "    return _Merged(wanted, wanted)",
        "update",
    ),
    Sabotage(
        "send a second PUT while one is open",
        "push/seen_leads.py",
        "        if result.outcome is None or key not in self._pages:",
        "        if key not in self._pages:",
        "update",
    ),
    Sabotage(
        "write the first page of changes only",
        "push/loop.py",
        "is_short and self.writes.page_to_read() is None",
        "is_short",
        "update",
    ),
    Sabotage(
        "forget that the first update was never read back",
        "update/__init__.py",
        "is_due or is_trial_open(ledger) or sender.owes_looks",
        "is_due or sender.owes_looks",
        "update",
    ),
    Sabotage(
        "believe a 200 of DELETE",
        "undo/proof.py",
        "there, maybe = _listed(loop, left)",
        "there, maybe = dict[str, str | None](), set[str]()",
        "undo",
    ),
    Sabotage(
        "delete by e-mail",
        "undo/deletes.py",
        "        source, lead_id = self._source, seen(contact).lead_id\n",
        "        source, there = self._source, seen(contact).there\n"
        "        found = self._leadgenius.find_lead(None, str(there['email']))\n"
        "        lead_id = str((found or there)['id'])\n",
        "undo",
    ),
    Sabotage(
        "overlook foreign leads in later listings",
        "push/loop.py",
        "        if foreign := self.ledger.foreign.among(leads):\n",
        "        if False and (foreign := self.ledger.foreign.among(leads)):\n",
        "one sender",
    ),
    Sabotage(
        "ask the fence once a run",
        "journey/sender.py",
        "        if self._fence is not None:\n            self._fence.check()\n",
        "        if self._fence is not None and not hasattr(self, '_is_asked'):\n"
        "            self._is_asked = True\n            self._fence.check()\n",
        "two machines",
    ),
    Sabotage(
        "take a ledger that is ahead of its record for another place",
        "journey/place.py",
        "or recorded.intents > intents:",
        "or recorded.intents != intents:",
        "place",
    ),
    Sabotage(
        "let Airflow treat a busy journey as failed for good",
        "deploy/airflow/migrator_fleet.py",
        '5: "ledger"}',
        '5: "ledger", 6: "busy"}',
        "deploy",
    ),
    Sabotage(
        "let Airflow treat what needs attention as a failure",
        "deploy/airflow/migrator_fleet.py",
        "    if code not in (DONE, NEEDS_ATTENTION):",
        "    if code != DONE:",
        "deploy",
    ),
    Sabotage(
        "leave the pool out",
        "deploy/airflow/migrator_fleet.py",
        '            pool=f"migrator-{login}",\n',
        "",
        "deploy",
    ),
    Sabotage(
        "hand the whole environment of Airflow on",
        "deploy/airflow/migrator_fleet.py",
        "for name, value in os.environ.items() if HANDED_ON.fullmatch(name)}",
        "for name, value in os.environ.items()}",
        "deploy",
    ),
    Sabotage(
        "run the journey below litestream",
        "deploy/systemd/migrator@.service",
        "ExecStart=/opt/migrator/bin/migrator run --update --json",
        'ExecStart=litestream replicate -exec "/opt/migrator/bin/migrator run --update --json"',
        "deploy",
    ),
)


def notices(sabotage: Sabotage, tree: Path) -> str | None:
    """The last line of the proof that failed; None = nobody noticed."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    try:
        proof = subprocess.run(  # noqa: S603 - our own proofs
            [sys.executable, *DETECTORS[sabotage.detector].split()],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "it never ended"
    if proof.returncode == 0:
        return None
    said = [line for line in (proof.stderr + proof.stdout).splitlines() if line.strip()]
    recorder = [line for line in said if line.startswith(("FAILED", "E  "))]
    return (recorder or said[-1:] or ["it failed without a word"])[0]


def apply(sabotage: Sabotage, tree: Path) -> None:
    """
    Change the tree.

    Raises:
        SystemExit: the product does not read as the sabotage expects; that one is out of date.
    """
    file = sabotage.path(tree)
    text = file.read_text(encoding="utf-8")
    if text.count(sabotage.old) != 1:
        raise SystemExit(f"{sabotage.name}: {sabotage.file} does not hold the text to change, once")
    file.write_text(text.replace(sabotage.old, sabotage.new), encoding="utf-8")


def copied(into: Path) -> Path:
    """A copy of what git tracks, links as links."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, tracked.stdout.split("\0")):
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return into


def main() -> int:
    """Try every sabotage; 1 = one of them went unnoticed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--only", default="", help="a part of the name of those to try")
    args = parser.parse_args()
    unnoticed = 0
    print("| broken on purpose | noticed by | after | in its words |\n| --- | --- | --- | --- |")
    for sabotage in SABOTAGES:
        if args.only not in sabotage.name:
            continue
        with tempfile.TemporaryDirectory(prefix="sabotage-") as folder:
            tree = copied(Path(folder))
            apply(sabotage, tree)
            began = time.monotonic()
            words = notices(sabotage, tree)
        took = f"{time.monotonic() - began:.0f} s"
        unnoticed += words is None
        by = "**nobody**" if words is None else sabotage.detector
        quoted = (words or "").replace("|", "/")[:160]
        print(f"| {sabotage.name} | {by} | {took} | {quoted} |", flush=True)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
