"""Every way to fail has a code, a message and a hint, and the tree in the docstring is the tree."""

import ast
import signal
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from migrator import errors
from migrator.errors import ExitCode, Interrupted, LedgerBusy, MigratorError, RunAgain
from migrator.ledger.database import SQLITE_PROBLEMS
from migrator.ledger_errors import LedgerProblem, ledger_error

PACKAGE = Path(errors.__file__).parent


def family(of: type[MigratorError]) -> Iterator[type[MigratorError]]:
    yield of
    for child in of.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from family(child)


FAMILY = list(family(MigratorError))
CODED = [kind for kind in FAMILY[1:] if kind is not Interrupted]


def drawn() -> Iterator[tuple[str, str, str]]:
    """(name, parent, code) of each line of the tree in the docstring."""
    parents = [""]
    for line in (errors.__doc__ or "").splitlines():
        stem = line.lstrip(" |`-")
        if not line.startswith("    ") or not stem:
            continue
        depth = (len(line) - len(stem) - 4) // 4
        name, _, code = stem.partition(" ")
        yield name, parents[depth], code.strip()
        parents[depth + 1 :] = [name]


def made(kind: type[MigratorError]) -> MigratorError:
    return kind("It broke.", "mend it", *([signal.SIGTERM] if kind is Interrupted else []))


def test_the_tree_in_the_docstring_is_the_real_tree() -> None:
    bases = {kind.__name__: kind.__base__.__name__ if kind.__base__ else "" for kind in FAMILY}
    bases["MigratorError"] = ""
    assert {name: parent for name, parent, _ in drawn()} == bases


def test_the_codes_in_the_docstring_are_the_real_codes() -> None:
    codes = {kind.__name__: str(int(kind.exit_code)) for kind in CODED}
    assert {name: code for name, _, code in drawn() if name in codes} == codes


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_carries_its_message_and_its_hint(kind: type[MigratorError]) -> None:
    error = made(kind)
    assert (error.message, error.hint, str(error)) == ("It broke.", "mend it", "It broke.")


def test_a_hint_to_run_again_names_the_command_once_it_is_known() -> None:
    error = MigratorError("It broke.", RunAgain("mend it, then ", "; all is kept"))
    assert error.hint == "mend it, then run the same command again; all is kept"
    error.resume_with = "migrator push --resume"
    assert error.hint == "mend it, then migrator push --resume; all is kept"


@pytest.mark.parametrize("kind", FAMILY)
def test_no_error_can_be_made_without_a_hint(kind: type[MigratorError]) -> None:
    with pytest.raises(TypeError):
        kind("It broke.")  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_says_what_it_stands_for(kind: type[MigratorError]) -> None:
    assert (kind.__doc__ or "").strip()


@pytest.mark.parametrize("kind", FAMILY)
def test_no_error_ends_like_a_success(kind: type[MigratorError]) -> None:
    assert made(kind).exit_code not in (ExitCode.DONE, ExitCode.NEEDS_ATTENTION)


@pytest.mark.parametrize("kind", CODED)
def test_only_what_nobody_foresaw_ends_as_a_bug(kind: type[MigratorError]) -> None:
    assert kind.exit_code is not ExitCode.BUG


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, ExitCode.SIGINT), (signal.SIGTERM, ExitCode.SIGTERM)]
)
def test_an_interruption_ends_with_the_code_of_its_signal(number: int, code: ExitCode) -> None:
    assert Interrupted("Stopped.", "migrator push --resume", number).exit_code is code


def test_the_exit_codes_are_those_of_the_design_and_none_has_two_names() -> None:
    names = ExitCode.__members__
    assert len(names) == len(set(names.values()))
    assert {int(code) for code in ExitCode} == {0, 1, 2, 3, 4, 5, 6, 70, 130, 143}


def test_a_child_keeps_the_code_of_its_parent() -> None:
    for kind in FAMILY:
        for child in kind.__subclasses__():
            # A busy ledger is the one error of a ledger that passes by itself.
            if kind is not MigratorError and child in FAMILY and child is not LedgerBusy:
                assert child.exit_code is kind.exit_code, child


# The ledger's


def placeholders(problem: LedgerProblem) -> set[str]:
    texts = [text for text in problem.value if isinstance(text, str)]  # else it names no argument
    return {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}


def raised_by_name() -> Iterator[tuple[LedgerProblem, set[str]]]:
    """(problem, arguments) of each call that names its problem."""
    for path in (PACKAGE / "ledger_errors.py", *(PACKAGE / "ledger").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "ledger_error":
                given = {str(one.arg) for one in node.keywords}
                if ast.unparse(node.args[0]).startswith("LedgerProblem."):
                    yield LedgerProblem[ast.unparse(node.args[0]).split(".")[1]], given


ALWAYS = {"path", "folder", "quoted_folder"}


def test_each_error_of_the_ledger_is_raised_with_the_arguments_of_its_words() -> None:
    found = list(raised_by_name())
    assert len(found) > 20
    assert [one for one, given in found if placeholders(one) - ALWAYS != given] == []
    chosen = {*SQLITE_PROBLEMS.values(), LedgerProblem.NO_LOCKS, LedgerProblem.NOT_LOCKED}
    assert set(LedgerProblem) == {one for one, _ in found} | chosen
    assert not any(placeholders(one) - ALWAYS for one in SQLITE_PROBLEMS.values())


@pytest.mark.parametrize("problem", LedgerProblem)
def test_each_error_of_the_ledger_ends_with_its_code(problem: LedgerProblem) -> None:
    error = ledger_error(problem, Path("a b"), **dict.fromkeys(placeholders(problem) - ALWAYS, "x"))
    is_busy = isinstance(error, LedgerBusy)
    assert error.exit_code is (ExitCode.BUSY if is_busy else ExitCode.LEDGER)
    assert "a b" in error.message + error.hint or problem is LedgerProblem.OLD_SQLITE
