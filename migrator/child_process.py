"""The environment of a child process of ours, without anything of the user's accounts."""

import os
from pathlib import Path

_OF_ACCOUNTS = ("HUBSPOT_", "LEADGENIUS_", "LGP_", "MIGRATOR_")


def environment() -> dict[str, str]:
    """This process's environment without settings of accounts and ledgers; it finds our package."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(_OF_ACCOUNTS)}
    source = str(Path(__file__).parent.parent)
    return {**rest, "PYTHONPATH": os.pathsep.join(filter(None, (source, rest.get("PYTHONPATH"))))}
