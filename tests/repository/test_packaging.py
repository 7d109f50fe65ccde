"""The package's name, its locked dependencies and its versions of Python agree everywhere."""

import configparser
import re

from benchmarks.packaging import LOCK, NAME, VERSIONS
from tests import ROOT

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")


def names(requirements: str) -> set[str]:
    return {
        re.split(r"[^\w-]", line)[0].lower().replace("_", "-")
        for line in requirements.splitlines()
        if line.strip()
    }


def test_nothing_tells_anybody_to_install_a_package_that_is_not_ours() -> None:
    assert SETUP["metadata"]["name"].replace("-", "_") == NAME
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "migrator").rglob("*.py")]
    told = re.compile(r"(?:pipx?|uv|uv tool) install (?:-\S+ )*['\"]?migrator\b")
    assert len(pages) > 100
    assert [path.name for path in pages if told.search(path.read_text("utf-8"))] == []


def test_every_dependency_is_locked_with_its_hashes() -> None:
    locked = LOCK.read_text("utf-8")
    wanted = SETUP["options"]["install_requires"] + SETUP["options.extras_require"]["fence"]
    pinned = re.findall(r"^([\w.-]+)(?:\[\w+\])?==\S+.*\\\n +--hash=sha256:", locked, re.MULTILINE)
    assert names(wanted) <= {name.lower() for name in pinned}
    assert len(pinned) == len(re.findall(r"^[\w.-]+(?:\[\w+\])?==", locked, re.MULTILINE))
    assert "://" not in locked


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    stated = re.findall(r":: (3\.\d+)$", SETUP["metadata"]["classifiers"], re.MULTILINE)
    assert tuple(stated) == VERSIONS
    assert SETUP["options"]["python_requires"] == f">={VERSIONS[0]}"
    workflow = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    assert set(re.findall(r"^ +(3\.\d+)$", workflow, re.MULTILINE)) == set(VERSIONS)
