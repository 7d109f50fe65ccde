"""What the README says of the command line is what the code does."""

import re
import shlex

import pytest

from migrator.cli.parser import build_parser
from migrator.errors import ExitCode
from migrator.states import State
from tests.support.reference import FOLDER, README, pages

TEXT = README.read_text(encoding="utf-8")


def typed() -> list[str]:
    lines = re.findall(r"^(?:    )?\$ (.*)$", TEXT, re.MULTILINE)
    words = [re.split("[#>]", line)[0].split("&&")[-1].strip() for line in lines]
    return [one for one in words if "migrator" in one.split()[0]]


@pytest.mark.parametrize("line", typed())
def test_every_command_that_it_types_can_be_parsed(line):
    build_parser().parse_args(shlex.split(line)[1:])


@pytest.mark.parametrize("name", pages())
def test_the_reference_is_the_code_s_and_linked(name):
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == pages()[name], "python -m tests.support.reference writes it anew"
    assert f"(docs/reference/{name})" in TEXT


def test_every_exit_code_stands_in_its_table():
    codes = {
        int(code)
        for row in re.findall(r"^\| ([\d, ]+) \|", TEXT, re.MULTILINE)
        for code in row.split(",")
    }
    assert codes == {int(code) for code in ExitCode}


def test_it_names_the_states_in_their_order():
    assert " → ".join(State) in TEXT


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 150


def test_the_first_two_commands_are_all_the_set_up():
    blocks = re.findall(r"```\n\$ (python3 .*)\n```", TEXT)
    assert [block.split("/")[-1].split()[-1] for block in blocks] == ["demo", "pytest"]


def test_the_environment_is_activated_before_a_bare_command_is_typed():
    assert TEXT.index("$ source .venv/bin/activate") < TEXT.index("$ migrator ")
