"""The ledger's part of the checklist: its file, its lock, what it is bound to, the disk."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from migrator.config import Settings
from migrator.errors import LedgerError
from migrator.ledger import Ledger, lock_holder, real_path
from migrator.mapping_versions import active_rules
from migrator.preflight.checklist import LEDGER, Check, Checklist, LedgerFacts, PreflightState

# Size of a contact once it is verified, including its attempts and events.
BYTES_A_CONTACT = 3_000
# For SQLite's write-ahead log and temporary files.
SPARE_BYTES = 16 << 20


def read_ledger(path: Path) -> LedgerFacts | None:
    """
    Read what the checks use of the ledger; `None` = there is none.

    Raises:
        LedgerError: it cannot be used.
    """
    if not real_path(path).exists():
        return None
    with Ledger.open_read_only(path) as ledger:
        return LedgerFacts(
            ledger.runs.binding(),
            ledger.runs.chosen_client(),
            ledger.runs.checkpoint("extraction").contacts_seen > 0,
            ledger.runs.is_canary_passed(),
            ledger.erasure.erased_at() is not None,
            ledger.runs.is_push_unfinished(),
            ledger.counts.to_send(),
            active_rules(ledger),
        )


def ledger_checks(
    checklist: Checklist, settings: Settings, fault: LedgerError | None, facts: PreflightState
) -> Iterator[Check]:
    """
    Check the ledger without changing it or disturbing a running command.

    Args:
        fault: Why it could not be read; `None` = it could.
    """
    ledger = _LedgerChecks(settings, fault, facts)
    for name, act, needs in (
        ("file", ledger.file, ()),
        ("lock", ledger.lock, ("file",)),
        ("journey", ledger.binding, ("file",)),
        ("disk", ledger.disk, ("file",)),
    ):
        yield checklist.attempt(LEDGER, name, act, [f"{LEDGER} {need}" for need in needs])


class _LedgerChecks:
    def __init__(
        self, settings: Settings, fault: LedgerError | None, facts: PreflightState
    ) -> None:
        self._settings = settings
        self._path = settings.ledger
        self._fault = fault
        self._facts = facts

    def file(self) -> str:
        if self._fault is not None:
            raise self._fault
        folder = self._path.resolve().parent
        if not folder.is_dir():
            raise LedgerError(f"There is no folder {folder}.", f"mkdir -p {folder}")
        closed = [one for one in (folder, self._path) if one.exists() and not _is_writable(one)]
        if closed:
            raise LedgerError(
                f"{closed[0]} is not writable.",
                "check its permissions and its owner, or choose another file with --ledger",
            )
        if (ledger := self._facts.ledger) is None:
            return f"{self._path} does not exist yet; stage creates it"
        if ledger.is_forgotten:
            raise LedgerError(
                f"{self._path} is forgotten: its personal data is erased, its proof remains.",
                "begin another ledger with --ledger",
            )
        return f"{self._path} contains {'contacts' if ledger.is_staged else 'no contact yet'}"

    def lock(self) -> str:
        holder = lock_holder(self._path)
        return "not in use" if holder is None else f"in use, which is no problem here: {holder}"

    def binding(self) -> str:
        if self._facts.ledger is None:
            return "not bound yet; the first stage and the first push bind it"
        account = self._facts.account
        with Ledger.open_read_only(self._path) as ledger:
            ledger.runs.check(
                portal_id=None if account is None else account.portal_id,
                leadgenius_url=self._settings.leadgenius_url,
                client_id=self._settings.client_id,
            )
        bound = [str(one) for one in vars(self._facts.ledger.binding).values() if one is not None]
        return f"bound to {', '.join(bound)}" if bound else "not bound yet"

    def disk(self) -> str:
        free = shutil.disk_usage(self._path.resolve().parent).free
        contacts = self._facts.contact_count
        if contacts is None:
            return f"{_size(free)} free"
        need = contacts * BYTES_A_CONTACT
        space = f"{_size(free)} free; {contacts:,} contacts take about {_size(need)}"
        if free < need + SPARE_BYTES:
            raise LedgerError(
                f"The disk is too small: {space}.", "free some space, or use another with --ledger"
            )
        return space


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK)


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
