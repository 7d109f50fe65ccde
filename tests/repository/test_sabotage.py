"""The sabotages fit the product as it is; `python -m benchmarks.sabotage` tries them."""

import ast

import pytest

from benchmarks.sabotage import DETECTORS, SABOTAGES
from tests import ROOT


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)
def test_each_changes_one_place_and_leaves_a_program(sabotage):
    file = sabotage.path(ROOT)
    text = file.read_text(encoding="utf-8")
    assert text.count(sabotage.old) == 1
    if file.suffix == ".py":
        ast.parse(text.replace(sabotage.old, sabotage.new))


def test_every_proof_that_is_to_notice_them_is_there():
    for words in DETECTORS.values():
        module = words.split()[1]
        name = words.split()[-1] if module == "pytest" else module.replace(".", "/") + ".py"
        assert (ROOT / name).is_file()
