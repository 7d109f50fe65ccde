"""Where this user's state is kept: by the XDG Base Directory Specification."""

import os
from collections.abc import Mapping
from pathlib import Path


def state_folder(environ: Mapping[str, str]) -> Path:
    """The folder, which need not exist; the specification has relative paths ignored."""
    given = Path(environ.get("XDG_STATE_HOME", "").strip())
    # Without HOME, by the user's entry in the system's list.
    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111
    return (given if given.is_absolute() else home / ".local" / "state") / "migrator"
