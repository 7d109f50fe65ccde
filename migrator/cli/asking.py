"""The question before something that cannot be taken back."""

import sys

from migrator.errors import NotReady, UsageError


def confirm(deed: str, undone: str, command: str) -> None:
    """
    Go on only when a person types yes, in so many letters.

    Args:
        deed: What is about to be done, as it follows "to".
        undone: What an answer that is not yes means.
        command: What to type to be asked again.

    Raises:
        UsageError: there is nobody to ask.
        NotReady: the answer was not yes.
    """
    # A process may be born without a stdin (`<&-`).
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"There is no terminal to ask on whether to {deed}.", f"{command} --yes")
    # Not through `input`, which asks on stdout: that is for data, and may be a file.
    print(f"Type yes to {deed}: ", end="", file=sys.stderr, flush=True)
    try:
        answer = input()
    except EOFError:
        answer = ""
    if answer.strip().lower() != "yes":
        raise NotReady(f"{undone}: the answer was not yes.", command)
