"""Every way to fail has a code, a message and a hint, and the tree in the docstring is the tree."""

import signal
from collections.abc import Iterator

import pytest

from migrator import errors
from migrator.errors import ExitCode, Interrupted, MigratorError, RunAgain


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
    assert {int(code) for code in ExitCode} == {0, 1, 2, 3, 4, 5, 70, 130, 143}


def test_a_child_keeps_the_code_of_its_parent() -> None:
    for kind in FAMILY:
        for child in kind.__subclasses__():
            if kind is not MigratorError and child in FAMILY:
                assert child.exit_code is kind.exit_code, child
