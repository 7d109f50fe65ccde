"""Which mutants are made, and that the lists of `python -m benchmarks.mutants` fit the tree."""

import ast
from pathlib import Path

import pytest

from benchmarks.mutants import EQUIVALENT, FIRST, PACKAGE, ROOMS, WIDER, known_equivalents
from benchmarks.mutation import mutants
from tests import ROOT

MODULE = '''"""Docstring 1."""

LIMIT = 20_000


def double(self, *, number: int | None = None) -> int | None:
    """Docstring 2."""
    if number is None:
        raise ValueError(f"it is {1 + 1}")
    self.calls.append(number)
    self.last = number
    return number * 2
'''


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "module.py").write_text(MODULE)
    return tmp_path


def test_each_is_another_program(module):
    made = [one.source(MODULE) for one in mutants(module, "module.py")]
    assert len({ast.dump(ast.parse(one)) for one in (*made, MODULE)}) == len(made) + 1


def test_conditions_numbers_and_statements_are_changed_and_nothing_else(module):
    assert sorted(one.change(MODULE) for one in mutants(module, "module.py")) == [
        ("if number is None:", "if not (number is None):"),
        ("if number is None:", "if number is not None:"),
        ("return number * 2", "return number * 1"),
        ("return number * 2", "return number * 3"),
        ("return number * 2", "return number / 2"),
        ("self.calls.append(number)", "pass"),
        ("self.last = number", "pass"),
    ]


def test_every_room_and_every_set_of_tests_is_there():
    assert all((PACKAGE / one).exists() for one in (*ROOMS, *FIRST, *WIDER))
    names = {name for table in (FIRST, WIDER) for tests in table.values() for name in tests.split()}
    assert [name for name in sorted(names) if not (ROOT / "tests" / name).is_file()] == []


def test_every_equivalent_mutant_is_of_a_line_that_is_still_there():
    for file, old, new in known_equivalents():
        text = " ".join((PACKAGE / file).read_text(encoding="utf-8").split())
        assert old in text, f"{EQUIVALENT.name}: {file} has no line: {old}"
        assert old != new
