"""
The packages as a stranger gets them: `python -m benchmarks.packaging` builds and installs them.

sdist and wheel are built from what is committed, checked for what they contain, and the wheel is
installed from the locked dependencies into a fresh environment of every Python here that it is for,
where a contact is moved on the sandbox. `--lock` writes `requirements.lock` anew, and does nothing
else.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
NAME = "hubspot_to_leadgenius"
VERSIONS = ("3.11", "3.12", "3.13")
# Of the repository, what a package does not need.
_LEFT_OUT = re.compile(r"\.(git|ci|github)|deploy/")
# Of an sdist, what the build adds.
_ADDED = re.compile(rf"PKG-INFO|{NAME}\.egg-info/.*")


class Unfit(Exception):
    """A package is not as it has to be; the message says in what."""


def write_lock() -> None:
    """Resolve the dependencies, for every Python and platform, into `requirements.lock`."""
    options = (
        "--extra fence --universal --generate-hashes --no-annotate --no-emit-index-url "
        f"--no-emit-find-links --upgrade --quiet --python-version {VERSIONS[0]}"
    ).split()
    told = ["--custom-compile-command", "python -m benchmarks.packaging --lock"]
    uv = [sys.executable, "-m", "uv", "pip", "compile", "setup.cfg"]
    _run([*uv, *options, *told, "--output-file", str(LOCK)], ROOT)


def build(folder: Path) -> tuple[Path, Path]:
    """Build what is committed; returns the sdist and the wheel, which is built from the sdist."""
    source = folder / "source"
    _run(["git", "clone", "--quiet", str(ROOT), str(source)], folder)
    _run([sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(source)], folder)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    return sdist, wheel


def check_contents(sdist: Path, wheel: Path) -> None:
    """
    Check that the sdist is the repository, and the wheel the package and nothing else.

    Raises:
        Unfit: something is missing or not wanted.
    """
    listed = _run(["git", "ls-files"], ROOT).splitlines()
    wanted = {name for name in listed if not _LEFT_OUT.match(name)}
    with tarfile.open(sdist) as archive:
        files = {one.name.partition("/")[2] for one in archive if not one.isdir()}
    _check_same("sdist", wanted, {name for name in files if not _ADDED.fullmatch(name)})
    package = {name for name in wanted if name.startswith("migrator/")}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        schema = archive.read("migrator/schema.sql")
    man_page = {name for name in names if name.endswith(".data/data/share/man/man1/migrator.1")}
    _check_same("wheel", package, names - man_page)
    if not man_page:
        raise Unfit("the wheel has no man page")
    if schema != (ROOT / "schema.sql").read_bytes():
        raise Unfit("the wheel has another schema.sql")


def _check_same(what: str, wanted: set[str], found: set[str]) -> None:
    for words, names in (("lacks", wanted - found), ("should not have", found - wanted)):
        if names:
            raise Unfit(f"the {what} {words} {', '.join(sorted(names)[:10])}")


def pythons() -> Iterator[tuple[str, Path]]:
    """(version, interpreter) of each Python here that the package is for."""
    for version in VERSIONS:
        kept = Path.home() / ".pyenv/versions"
        named = shutil.which(f"python{version}")
        for path in [*([Path(named)] if named else []), *kept.glob(f"{version}.*/bin/python")]:
            # A shim is no interpreter, and some have no `venv`.
            with suppress(Unfit):
                _run([str(path), "-c", "import venv, ensurepip"], ROOT)
                yield version, path
                break


def try_install(python: Path, wheel: Path, folder: Path) -> None:
    """Install the wheel with locked dependencies, and move a few contacts on the sandbox."""
    _run([str(python), "-m", "venv", str(folder)], ROOT)
    pip = [str(folder / "bin/pip"), "install", "--quiet"]
    _run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)], folder)
    _run([*pip, "--no-deps", str(wheel)], folder)
    _run([str(folder / "bin/pip"), "check"], folder)
    _run([str(folder / "bin/migrator"), "--version"], folder)
    _run([str(folder / "bin/migrator"), "demo", "--quiet", "--contacts", "100"], folder)
    if not (folder / "share/man/man1/migrator.1").is_file():
        raise Unfit("the man page is not installed")


def _run(command: list[str], folder: Path) -> str:
    """
    Run a command that has to succeed, without what belongs to this process; returns its stdout.

    Raises:
        Unfit: it failed; the message has its output.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=kept, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = f"{done.stdout}{done.stderr}"
        raise Unfit(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
    return done.stdout


def main() -> int:
    """Print a line for each step; 1 = a package is unfit, and why."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--lock", action="store_true", help="write requirements.lock anew")
    if parser.parse_args().lock:
        write_lock()
        return 0
    try:
        with tempfile.TemporaryDirectory(prefix="packaging-") as name:
            folder = Path(name)
            sdist, wheel = build(folder)
            _run(
                [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)], folder
            )
            print(f"built and checked: {sdist.name}, {wheel.name}", flush=True)
            check_contents(sdist, wheel)
            print("contents: the sdist is the repository, the wheel is the package", flush=True)
            for version, python in pythons():
                try_install(python, wheel, folder / version)
                print(
                    f"Python {version}: installed with locked dependencies, and works", flush=True
                )
    except Unfit as fault:
        print(f"unfit: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
