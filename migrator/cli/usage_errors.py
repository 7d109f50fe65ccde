"""
Usage errors: what is wrong with the arguments, what was probably meant, and what to type next.

They never quote what may be a secret.
"""

import argparse
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence

from migrator.cli.arguments import Command
from migrator.errors import UsageError

Parsers = Mapping[str, argparse.ArgumentParser]

_TOP = ("-h", "--help", "--version")
_LONGEST_QUOTED = 40
_ALIKE = 0.7  # a typing error; with less, `deport` would be taken for `report`
# What other programs call it -> how it is typed here.
_ELSEWHERE = {
    "check": "migrator preflight",
    "continue": "migrator push --resume",
    "dry-run": "migrator plan",
    "export": "migrator report --csv held.csv",
    "extract": "migrator stage",
    "fetch": "migrator stage",
    "import": "migrator stage, then: migrator push",
    "init": "migrator preflight",
    "load": "migrator push",
    "login": "migrator auth",
    "migrate": "migrator run",
    "pull": "migrator stage",
    "resume": "migrator push --resume",
    "send": "migrator push",
    "setup": "migrator preflight",
    "start": "migrator preflight",
    "status": "migrator report",
    "sync": "migrator run --update",
    "test": "migrator preflight",
    "version": "migrator --version",
    "--dry-run": "migrator plan",
    "push --dry-run": "migrator plan",
    "stage --dry-run": "migrator preflight",
    "-V": "migrator --version",
}
# argparse's messages, which are the same in every Python version -> ours.
_WORDS = {
    r"(\S+): expected one argument": r"\1 needs a value",
    r"(\S+): ignored explicit argument .*": r"\1 takes no value",
    r"(\S+): not allowed with argument (\S+)": r"\1 and \2 do not go together",
    r"the following arguments are required: (.*)": r"\1 is missing",
}


def refuse_without_a_command(
    words: Sequence[str], parsers_of: Callable[[], Parsers], commands: Sequence[Command]
) -> None:
    """
    Args:
        parsers_of: Makes the parsers of all commands; called only for an error.

    Raises:
        UsageError: there is no command, or an option before it that the program does not have.
    """
    if not words:
        known = "".join(f"\n{one.name}: {one.summary}" for one in commands)
        raise UsageError(f"No command was given; there are:{known}", "migrator COMMAND --help")
    first = words[0].partition("=")[0]
    if not first.startswith("-") or first in _TOP:
        return
    parsers = parsers_of()
    owners = _owners(first, parsers)
    if not owners:
        said = f"migrator has no option {_quoted(first)}"
        if hint := _ELSEWHERE.get(first):
            raise UsageError(f"{said}.", hint)
        raise UsageError(_or_near(said, _near(first, _TOP)), "migrator --help")
    at = next((at for at, word in enumerate(words) if word in parsers), None)
    hint = f"migrator {owners[0]} --help"
    if at is not None and words[at] not in owners:
        hint = _ELSEWHERE.get(f"{words[at]} {first}", f"migrator {words[at]} --help")
        raise UsageError(f"migrator {words[at]} has no option {_quoted(first)}.", hint)
    if at is not None:
        hint = f"migrator {shlex.join([words[at], *words[:at], *words[at + 1 :]])}"
    raise UsageError(f"Options follow the command, but {first} comes before it.", hint)


def unknown(command: str, words: Sequence[str], parsers: Parsers) -> UsageError:
    """The error for arguments that a command does not have."""
    hint = f"migrator {command} --help"
    option = next((word.partition("=")[0] for word in words if word.startswith("-")), None)
    if option is None:
        return UsageError(f"migrator {command} does not take the word {_quoted(words[0])}.", hint)
    said = f"migrator {command} has no option {_quoted(option)}"
    if elsewhere := _ELSEWHERE.get(f"{command} {option}"):
        return UsageError(f"{said}.", elsewhere)
    if owners := _owners(option, parsers):
        return UsageError(f"{said}; it belongs to {', '.join(owners)}.", hint)
    every = [one for parser in (parsers[command], *parsers.values()) for one in _options(parser)]
    if (near := _near(option, every)) and near not in _options(parsers[command]):
        near = f"{near}, of {_owners(near, parsers)[0]}"
    return UsageError(_or_near(said, near), hint)


def invalid_choice(
    parser: argparse.ArgumentParser, action: argparse.Action, value: str
) -> UsageError:
    """The error for a value that is not one of the choices."""
    choices = [str(choice) for choice in action.choices or ()]
    near = _near(value, choices)
    if isinstance(action, argparse._SubParsersAction):
        if elsewhere := _ELSEWHERE.get(value.lower()):
            return UsageError(f"There is no command {_quoted(value)}.", elsewhere)
        hint = f"migrator {near} --help" if near else "migrator --help"
        return UsageError(_or_near(f"There is no command {_quoted(value)}", near), hint)
    name = "/".join(action.option_strings) or str(action.metavar or action.dest)
    said = f"{name} cannot be {_quoted(value)}"
    every = f"; it is one of {', '.join(choices)}"
    return UsageError(_or_near(said, near, every), f"{parser.prog} --help")


def usage_error(parser: argparse.ArgumentParser, message: str) -> UsageError:
    """An error of argparse, in our words."""
    text = message.removeprefix("argument ")
    for pattern, words in _WORDS.items():
        text = re.sub(f"^{pattern}$", words, text)
    return UsageError(f"{text}.", f"{parser.prog} --help")


def _owners(option: str, parsers: Parsers) -> list[str]:
    return [name for name, parser in parsers.items() if option in _options(parser)]


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings]


def _or_near(said: str, near: str | None, otherwise: str = "") -> str:
    return f"{said}; did you mean {near}?" if near else f"{said}{otherwise}."


def _near(word: str, known: Collection[str]) -> str | None:
    """What was probably meant: a similar word, or one that begins with it."""
    from difflib import get_close_matches

    for typed in (word.lower().replace("_", "-"), word.lower()):
        if close := get_close_matches(typed, known, n=1, cutoff=_ALIKE):
            return close[0]
    return next((one for one in known if len(word) > 3 and one.startswith(word)), None)


def _quoted(word: str) -> str:
    """A word as it may be shown: not if it looks like a secret, pasted into the wrong place."""
    if len(word) > _LONGEST_QUOTED or re.match("-*(pat-|lgp_|eyJ)", word):
        return "that was typed"
    return word if word.startswith("-") else repr(word)
