"""
A ledger's file that is not what it was: nothing leaves, the file is left alone, and words say why.

What is refused at the door is shown here by typed commands; `test_ledger` has every fault in turn.
"""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.judge import posts
from migrator.errors import LedgerError
from migrator.sandbox import Sandbox
from tests.support.hostile_process import afflicted
from tests.support.processes import Operator, Result

SETTLE = 1.0
OPTIONS = f"--rate max --workers 4 --settle {SETTLE:g} --timeout 5 --canary 0"
RESUME = f"push --resume {OPTIONS}"
VERBS = ["stage", RESUME, "verify", "report", "retry --reason refused"]

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Some contacts were sent and some were not; nobody writes to this ledger any more."""
    with Sandbox(contacts=60) as sandbox:
        operator = Operator(tmp_path_factory.mktemp("pushed"), sandbox)
        assert operator.run("stage -q").code == 0
        assert operator.run(f"push --limit 20 {OPTIONS}").code == 0
        yield operator


@pytest.fixture
def operator(pushed, tmp_path):
    """A copy of that ledger, with its lock, to be spoilt."""
    for path in pushed.folder.iterdir():
        shutil.copy(path, tmp_path)
    return replace(pushed, folder=tmp_path)


def cut(share: float) -> Damage:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def overwritten(first: float, last: float) -> Damage:
    """Garbage from here to there, in shares of the file."""

    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        begin, end = int(len(content) * first), int(len(content) * last)
        content[begin:end] = random.Random(1).randbytes(end - begin)
        path.write_bytes(content)

    return damage


def replaced(old: bytes, new: bytes) -> Damage:
    """A few bytes inside one value: the pages are as sound as ever."""

    def damage(path: Path) -> None:
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))

    return damage


def assert_refused(result: Result, *words: str) -> None:
    assert result.code == LedgerError.exit_code, result
    assert "Traceback" not in result.err
    assert "next: " in result.err
    for word in words:
        assert word in result.err


DAMAGED = ("cannot be used: it is damaged", "run `migrator stage` again")
NO_DATABASE = ("cannot be used: it is not a SQLite database", "--ledger")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut(0), ("not a migrator ledger", "--ledger")),
        (cut(0.00003), NO_DATABASE),
        (cut(0.01), DAMAGED),
        (cut(0.3), DAMAGED),
        (cut(0.99), DAMAGED),
        (overwritten(0, 1), NO_DATABASE),
        (overwritten(0, 0.0003), NO_DATABASE),
        (overwritten(0.5, 0.52), DAMAGED),
        (overwritten(0.97, 1), DAMAGED),
    ],
)
def test_a_file_cut_short_or_overwritten_sends_nothing(operator, damage, words):
    damage(operator.ledger)
    before, sent = operator.ledger.read_bytes(), len(posts(operator.sandbox))
    assert_refused(operator.run(RESUME), str(operator.ledger), *words)
    assert len(posts(operator.sandbox)) == sent
    assert operator.ledger.read_bytes() == before


@pytest.mark.parametrize("words", VERBS)
def test_every_command_says_that_the_file_is_damaged(operator, words):
    overwritten(0.03, 1)(operator.ledger)
    before = operator.ledger.read_bytes()
    assert_refused(operator.run(words), str(operator.ledger), *DAMAGED)
    assert operator.ledger.read_bytes() == before


@pytest.mark.parametrize("words", [RESUME, "report"])
def test_a_command_says_that_a_newer_migrator_wrote_it(operator, words):
    # Bytes 60 to 63 of a database are its user_version.
    content = bytearray(operator.ledger.read_bytes())
    content[60:64] = (99).to_bytes(4, "big")
    operator.ledger.write_bytes(content)
    assert_refused(operator.run(words), "version 99", "pip install --upgrade hubspot-to-leadgenius")


@pytest.mark.parametrize(
    "damage",
    [
        replaced(b'"firstName":', b'"firstName"\xff'),  # no text any more
        replaced(b'"firstName":', b'"firstName";'),  # a text, and no JSON
    ],
)
def test_a_value_that_rotted_in_a_sound_page_is_damage_and_no_bug(operator, damage):
    damage(operator.ledger)
    sent = len(posts(operator.sandbox))
    result = operator.run(RESUME)
    assert_refused(result, *DAMAGED)
    assert "firstName" not in result.err
    assert len(posts(operator.sandbox)) == sent


# Where it is, and whose it is


@pytest.mark.parametrize("words", ["stage", RESUME, "retry --reason refused"])
def test_a_ledger_that_may_not_be_written(operator, words):
    # Without these rights the modes of files bind root, too.
    deprive = "import ctypes\nfor right in (1, 2): ctypes.CDLL(None).prctl(24, right, 0, 0, 0)"
    operator.ledger.chmod(0o400)
    operator.folder.chmod(0o500)
    before = operator.ledger.read_bytes()
    result = replace(operator, command=afflicted(deprive)).run(words)
    operator.folder.chmod(0o700)
    assert_refused(result, str(operator.ledger), "is read-only", "check the permissions")
    assert operator.ledger.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "name"),
    [("stage", "gone/migrator.db"), (RESUME, "."), ("stage", "dangling"), ("report", "itself")],
)
def test_a_path_that_leads_nowhere(operator, words, name):
    (operator.folder / "dangling").symlink_to(operator.folder / "gone" / "migrator.db")
    (operator.folder / "itself").symlink_to(operator.folder / "itself")
    assert_refused(operator.run(f"{words} --ledger {name}"))
    assert not (operator.folder / "gone").exists()


@pytest.mark.parametrize(
    ("words", "other", "named"),
    [
        ("stage", {"HUBSPOT_PORTAL_ID": "7"}, "HubSpot portal"),
        (RESUME, {"LEADGENIUS_CLIENT_ID": "another"}, "client_id"),
        (RESUME, {"LEADGENIUS_BASE_URL": "http://localhost:9"}, "LeadGenius base URL"),
        ("verify", {"LEADGENIUS_CLIENT_ID": "another"}, "client_id"),
    ],
)
def test_another_journey_is_refused_before_anything_is_sent(operator, words, other, named):
    if "HUBSPOT_PORTAL_ID" in other:
        operator.sandbox.fault("account_forbidden")
    received = len(operator.sandbox.received)
    result = operator.run(words, **other)
    assert_refused(result, f"belongs to the {named}", "begin another ledger with --ledger")
    assert len(operator.sandbox.received) - received <= 1
