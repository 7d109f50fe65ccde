"""
Virtual environments of the peers' own, kept in a cache folder: nothing of theirs is ours.

Owns which packages they are, and what to say when one cannot be had.
"""

import os
import re
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

_INSTALLED = "installed"


class Unavailable(Exception):
    """A package cannot be installed here; the message says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """
    Where a peer lives.

    Args:
        version: Of its package.
    """

    python: str
    version: str


def environment(package: str, bare: str = "") -> Environment:
    """
    The environment with one package and requests, made at the first call.

    Args:
        bare: A further package that is installed without what it requires; the version is its own.

    Raises:
        Unavailable: it cannot be made.
    """
    name = re.split(r"[\[=]", bare or package)[0]
    folder = _cache() / name
    python = folder / "bin" / "python"
    if not (folder / _INSTALLED).exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = (str(python), "-m", "pip", "install", "--quiet")
        _run(*pip, package, "requests")
        if bare:
            _run(*pip, "--no-deps", bare)
        (folder / _INSTALLED).touch()
    ask = f"from importlib.metadata import version; print(version({name!r}))"
    return Environment(str(python), _run(str(python), "-c", ask).strip())


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / f"migrator-benchmarks-{sys.version_info.major}.{sys.version_info.minor}"


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["it does not say why"]
        raise Unavailable(said[-1][:200])
    return done.stdout
