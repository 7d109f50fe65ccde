"""Options of the command that teaches a shell the others."""

import argparse

from migrator.cli.arguments import Command

SHELLS = ("bash", "zsh", "fish")


def _completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")


COMPLETION = Command(
    "completion",
    "print what lets a shell complete commands and options",
    [
        "migrator completion bash > ~/.local/share/bash-completion/completions/migrator",
        'eval "$(migrator completion zsh)"',
        "migrator completion fish > ~/.config/fish/completions/migrator.fish",
    ],
    _completion,
    about="A file in the shell's own folder, as in the examples for bash and fish, is read by the "
    "next shell; make it anew after an update. For zsh the line of the example goes into "
    "~/.zshrc, below compinit; bash can have such a line in ~/.bashrc as well. Pressing Tab "
    "runs nothing of migrator's.",
)
