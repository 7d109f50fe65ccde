"""`docs/check_proof.py` in this process: what it says of a proof and of a listing."""

import json
import runpy
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests import ROOT

SCRIPT = ROOT / "docs" / "check_proof.py"


def loaded(script: Path = SCRIPT) -> dict[str, Any]:
    """The names that the script defines."""
    return runpy.run_path(str(script), run_name="check_proof")


_AS_IT_IS = loaded()


def said(
    lines: Iterable[bytes],
    leads: Iterable[Mapping[str, Any]] | None = None,
    names: Mapping[str, Any] = _AS_IT_IS,
) -> list[str]:
    """The faults that it finds, as the command does: the listing only if the proof has none."""
    check = names["Check"]()
    check.proof(lines)
    if leads is not None and not check.faults:
        check.leads(leads)
    found: list[str] = check.faults
    return found


def as_bytes(lines: Iterable[str]) -> list[bytes]:
    """Lines as the audit gives them, as they are in a file."""
    return [f"{line}\n".encode() for line in lines]


def parsed(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def chained(lines: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """Lines as they are in a file, each with the hash of the one before."""
    chain: list[bytes] = []
    for line in lines:
        previous = sha256(chain[-1]).hexdigest() if chain else None
        chain.append(f"{json.dumps({**line, 'previous': previous})}\n".encode())
    return chain
