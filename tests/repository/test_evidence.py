"""What `docs/reliability.md` names is there: the tests of its tables, the proofs to be run."""

import re

import pytest

from tests import ROOT

TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
FILES = sorted((ROOT / "tests").rglob("test_*.py"))
NAMES = {
    name
    for file in FILES
    for name in (file.stem, *re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE))
}


def named() -> list[str]:
    """The last cell of each row of a fault, in backticks."""
    rows = re.findall(r"^\| .*[^|] \| (`\w+`(?:, `\w+`)*) \|$", TEXT, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_every_fault_has_its_test():
    assert len(named()) > 40
    assert [one for one in named() if not any(one in name for name in NAMES)] == []


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m (benchmarks\.\w+)", TEXT))))
def test_every_proof_is_there_to_be_run(module):
    assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()
