"""The model of the sending protocol: SPIN proves it, and needs each of its rules for the proof."""

import re
import shutil

import pytest

from benchmarks import model_check
from benchmarks.measuring import Failed
from benchmarks.model_check import MODEL, NEEDED, TWO_LEADS, VARIANTS, check, main

needs_spin = pytest.mark.skipif(
    not all(map(shutil.which, NEEDED)), reason="no SPIN or no C compiler on this machine"
)


@needs_spin
def test_a_result_that_differs_fails_the_command(capsys, monkeypatch):
    proved_although = VARIANTS["safe"]._replace(expected=TWO_LEADS)
    monkeypatch.setattr(model_check, "VARIANTS", {"safe": proved_although})
    assert main([]) == 1
    assert "DIFFERS" in capsys.readouterr().out


@needs_spin
@pytest.mark.parametrize(
    ("rule", "broken", "variant", "result"),
    [
        ("define LATE 2", "define LATE 3", "safe", TWO_LEADS),
        ("look(); ledger", "ledger", "safe", TWO_LEADS),
        ("(leads <= 1)", "(leads <= 0)", "safe", "assertion violated (leads<=0)"),
        ("-> ticks - 1 :", "-> ticks :", "ends", "non-progress cycle"),
    ],
)
def test_a_broken_model_is_never_proved(tmp_path, rule, broken, variant, result):
    text = MODEL.read_text(encoding="utf-8")
    assert rule in text
    model = tmp_path / "broken.pml"
    model.write_text(text.replace(rule, broken), encoding="utf-8")
    assert check(VARIANTS[variant], tmp_path, model).result == result


@needs_spin
def test_a_model_that_spin_rejects_is_no_result(tmp_path):
    model = tmp_path / "broken.pml"
    model.write_text(MODEL.read_text(encoding="utf-8").replace("byte me", "byte"), encoding="utf-8")
    with pytest.raises(Failed, match="undeclared variable"):
        check(VARIANTS["safe"], tmp_path, model)


@needs_spin
def test_a_trail_tells_how_the_second_lead_came_about(capsys):
    assert main(["--trail", "fence"]) == 0
    steps = capsys.readouterr().out.splitlines()
    assert {"machine 0 sends", "machine 1 sends"} < set(steps)
    assert steps[-1] == "a lead is created: number 2"


def test_without_spin_nothing_is_proved(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert main([]) == 1
    assert "spin" in capsys.readouterr().err


def test_the_model_is_short():
    assert len(MODEL.read_text(encoding="utf-8").splitlines()) <= 100


def test_the_page_names_each_variant_and_the_model_each_invariant():
    page = MODEL.with_name("README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE) == [*VARIANTS]
    model = MODEL.read_text(encoding="utf-8")
    assert {f"I{number}" for number in (1, 2, 3, 5, 6)} <= set(re.findall(r"\bI\d", model))
