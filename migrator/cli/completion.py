"""`migrator completion`: print a shell completion script. Owns shtab."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command
from migrator.errors import ExitCode

if TYPE_CHECKING:
    from migrator.progress import Display

SHELLS = ("bash", "zsh", "fish")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")


def completion(args: argparse.Namespace, display: Display) -> int:
    """Print the completion script of a shell."""
    import shtab

    from migrator.cli.parser import build_parser, subparsers
    from migrator.streams import tell

    # The name of a value in the help -> how a shell completes it.
    files = {"PATH": shtab.FILE, "FILE": shtab.FILE, "FOLDER": shtab.DIRECTORY}
    parser = build_parser()
    for command in subparsers(parser).values():
        for action in command._actions:
            if action.metavar in files:
                action.complete = files[str(action.metavar)]  # type: ignore[attr-defined]
    tell(shtab.complete(parser, args.shell))
    return ExitCode.DONE


COMMAND = Command(
    "completion",
    "print a shell completion script",
    [
        "migrator completion bash > ~/.local/share/bash-completion/completions/migrator",
        'eval "$(migrator completion zsh)"',
        "migrator completion fish > ~/.config/fish/completions/migrator.fish",
    ],
    _add_options,
    completion,
    about="The files of the examples for bash and fish are read when the next shell starts; write "
    "them again after an update. For zsh, put the line of the example into ~/.zshrc, below "
    "compinit; a line like it also works in ~/.bashrc. Pressing Tab does not run migrator.",
)
