"""
Where the findings of probes are kept: in the ledger if there is one, else in the state folder.

A ledger that was never probed uses what the state folder has of its host (the contract, section 6).
"""

import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from migrator.canonical_json import canonical_json
from migrator.findings import Findings, ProbeRecord
from migrator.journey.place import state_folder_errors
from migrator.ledger import Ledger
from migrator.private_files import replace

_LATEST_MS = 253_402_300_799_999  # the end of the year 9999


def newest_probe(folder: Path, url: str, ledger: Ledger | None) -> ProbeRecord | None:
    """
    The newest probe of a base URL; `None` = it was never probed.

    Args:
        folder: The state folder.
    """
    known = [ledger.probes.newest(url) if ledger else None, _read(probe_file(folder, url), url)]
    return max(filter(None, known), key=lambda one: one.probed_ms, default=None)


def use_newest_probe(folder: Path, url: str, ledger: Ledger) -> ProbeRecord | None:
    """
    The same for a command that works with the destination: from now on the ledger has it, too.

    Args:
        ledger: Bound to the URL, or not bound yet.
    """
    newest = newest_probe(folder, url, ledger)
    if newest is not None:
        ledger.probes.adopt(newest)
    return newest


def keep_probe(folder: Path, record: ProbeRecord, ledger: Ledger | None) -> None:
    """
    Keep the findings of a probe.

    Raises:
        NotReady: the state folder cannot be written.
    """
    if ledger is not None:
        ledger.probes.add(record)
        return
    path = probe_file(folder, record.url)
    kept = {
        "url": record.url,
        "probed_ms": record.probed_ms,
        "findings": record.findings.as_json(),
    }
    with state_folder_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(path, canonical_json(kept))


def probe_file(folder: Path, url: str) -> Path:
    """The file in the state folder for the probes of a base URL; others have a suffix."""
    return folder / "probes" / sha256(url.encode()).hexdigest()[:32]


def _read(path: Path, url: str) -> ProbeRecord | None:
    """The record in a file; `None` = there is none of this URL, or none that can be understood."""
    odd = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
    with state_folder_errors(path), suppress(FileNotFoundError, *odd):
        kept = json.loads(path.read_text("utf-8"))
        probed_ms, findings = int(kept["probed_ms"]), Findings.of_json(kept["findings"])
        if str(kept["url"]) == url and 0 <= probed_ms <= _LATEST_MS:
            return ProbeRecord(url, probed_ms, findings)
    return None
