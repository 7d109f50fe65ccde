"""The documents lead where they say: links, commands, files, tests, and every exit code."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from migrator.cli.parser import build_parser
from migrator.states import MOVES, Hold
from tests import ROOT
from tests.repository.test_evidence import NAMES
from tests.support.transcript import DOCS, QUOTED, written

DOCUMENTS = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in written()}
GUIDE = DOCUMENTS["docs/explanation/the-guide.md"]


def typed(text: str) -> set[str]:
    """The `migrator` commands of a document, without comments and pipes."""
    lines = re.findall(r"^(?:    )?\$ (.*)$", QUOTED.sub("", text), re.MULTILINE)
    words = [re.split("[#>|]", line)[0].split("&&")[-1].strip() for line in lines]
    return {one for one in words if one.startswith("migrator ")}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", DOCUMENTS[name]):
        assert (ROOT / name).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_can_be_typed(name):
    for line in typed(DOCUMENTS[name]):
        build_parser().parse_args(shlex.split(line)[1:])


def test_every_document_is_in_the_index():
    linked = re.findall(r"\]\(([^)]+)\)", DOCUMENTS["docs/README.md"])
    inside = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert inside - {"README.md"} == {one for one in linked if one.endswith(".md")}


def test_every_rule_of_the_guide_lives_where_it_is_said_to():
    places = re.findall(r"`(migrator/[\w./]+)`", GUIDE)
    assert len(places) > 20
    assert [one for one in places if not Path(ROOT / one).exists()] == []
    tests = re.findall(r"`(test_\w+)`", GUIDE)
    assert len(tests) > 10
    assert [one for one in tests if one not in NAMES] == []


def test_every_hold_is_explained_where_it_is_corrected():
    page = DOCUMENTS["docs/how-to/correct-held-contacts.md"]
    for hold in Hold:
        assert re.search(rf"^\| .*`{hold}`", page, re.MULTILINE), hold


def test_the_drawing_of_the_moves_has_an_arrow_for_each():
    page = DOCUMENTS["docs/explanation/never-twice.md"]
    drawing = page.split("```")[1]
    # `⇄` is a move each way; `↑` is a move back.
    assert len(re.findall("[→⇄↑]", drawing)) + drawing.count("⇄") == len(MOVES)


def test_the_glossary_is_short_and_has_only_words_that_the_documents_use():
    words = re.findall(r"^- \*\*([\w ]+)\*\*", DOCUMENTS["docs/glossary.md"], re.MULTILINE)
    assert 0 < len(words) <= 40
    used = " ".join(
        " ".join(DOCUMENTS[one].split()) for one in set(DOCUMENTS) - {"docs/glossary.md"}
    )
    unused = [one for one in words if not re.search(rf"\b{one}", used, re.IGNORECASE)]
    assert unused == []


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ({}, 0),
        ({"run": "4 6 4"}, 0),
        ({"run": "4 3"}, 3),
        ({"run": "5"}, 5),
        ({"run": "143"}, 143),
    ],
)
def test_the_script_repeats_after_4_and_6_and_ends_with_others(codes, expected, tmp_path):
    page = DOCUMENTS["docs/how-to/use-it-in-scripts.md"]
    script = page.split("```sh\n")[1].split("```")[0]
    for command, text in codes.items():
        tmp_path.joinpath(command).write_text(text.replace(" ", "\n") + "\n")
    # A `migrator` that ends with the next code of the command's file, and 0 when there is none.
    fake = """
        sleep() { :; }
        migrator() {
            one=$(head -n 1 "$1" 2>/dev/null) || return 0
            sed 1d "$1" > rest; mv rest "$1"
            return ${one:-0}
        }
    """
    done = subprocess.run(["sh", "-c", fake + script], cwd=tmp_path, timeout=20)  # noqa: S607
    assert done.returncode == expected
