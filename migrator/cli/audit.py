"""`migrator audit`: prove from the ledger and a fresh listing that the promise was kept."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from migrator.cli.arguments import Command, add_ledger, add_settle, add_timeout
from migrator.cli.session import raise_settle, read_ledger, settings_of
from migrator.errors import ExitCode, LedgerError
from migrator.text import count_noun

if TYPE_CHECKING:
    from migrator.audit import AuditVerdict
    from migrator.config import Settings
    from migrator.progress import Display

_LINES_AT_ONCE = 100


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_timeout(parser)
    add_settle(parser)
    add_ledger(parser)


def audit(args: argparse.Namespace, display: Display) -> int:
    """Write the proof of a ledger as JSON Lines; NEEDS_ATTENTION when it does not hold."""
    from migrator.audit import NotALedger
    from migrator.audit import audit as prove
    from migrator.ledger import exclusive
    from migrator.probe_records import newest_probe
    from migrator.streams import tell

    path = settings_of(args).ledger
    with read_ledger(path) as ledger:
        client_id = ledger.runs.binding().client_id
        settings = settings_of(args, ["leadgenius"] if client_id else [])
        ledger.runs.check(leadgenius_url=settings.leadgenius_url, client_id=settings.client_id)
        probe = newest_probe(settings.state_folder, settings.leadgenius_url, ledger)
    raise_settle(args, probe, display)
    with exclusive(path):

        def look_again(unseen: int) -> Iterator[Mapping[str, Any]]:
            display.say(f"{unseen:,} leads are not listed yet: looking again in {args.settle:g} s")
            time.sleep(args.settle)
            return _listing(args, settings, client_id, display)

        lines: list[str] = []

        def write(line: str) -> None:
            lines.append(line)
            if len(lines) >= _LINES_AT_ONCE:
                tell(*lines)
                lines.clear()

        try:
            verdict = prove(path, _listing(args, settings, client_id, display), write, look_again)
        except NotALedger as error:
            raise LedgerError(f"{error}.", "migrator report") from None
        finally:
            if lines:
                tell(*lines)
    display.say(_words(verdict))
    display.say(f"head of the proof, for a sign-off: {verdict.head}")
    return ExitCode.DONE if verdict.holds else ExitCode.NEEDS_ATTENTION


def _listing(
    args: argparse.Namespace, settings: Settings, client_id: str | None, display: Display
) -> Iterator[Mapping[str, Any]]:
    """All leads of the ledger's client; none if nothing was ever sent."""
    if client_id is None:
        return
    from migrator import connections

    leadgenius, _ = connections.open_leadgenius(settings, timeout_seconds=args.timeout)
    leadgenius.check_client(client_id)
    odd = 0
    for page in leadgenius.lead_pages(client_id):
        yield from page.leads
        odd += len(page.odd)
    if odd:
        display.say(f"{count_noun(odd, 'row')} of the list without an id left out")


def _words(verdict: AuditVerdict) -> str:
    parts = [
        "the promise holds" if verdict.holds else f"{verdict.faults:,} faults: it does not hold",
        f"{verdict.contacts:,} contacts",
        f"{verdict.with_lead:,} with their lead",
        f"{verdict.with_reason:,} with a reason",
        f"{verdict.waiting:,} waiting",
        f"{verdict.in_doubt:,} in doubt",
        f"{verdict.sends:,} sends",
        f"{verdict.strangers:,} leads of others",
    ]
    if verdict.undone:
        parts.append(f"{verdict.undone:,} undone")
    if verdict.gone:
        parts.append(f"{verdict.gone:,} gone from HubSpot")
    if verdict.unknown:
        parts.append(
            f"{count_noun(verdict.unknown, 'lead')} of contacts that are not in this ledger"
        )
    return " · ".join(parts)


COMMAND = Command(
    "audit",
    "prove from the ledger and a fresh listing that the promise was kept, as JSON Lines",
    ["migrator audit > proof.jsonl", "migrator audit | jq 'select(.kind == \"fault\")'"],
    _add_options,
    audit,
    about="Each send and each contact is one line of JSON, with its lead or its reason; the last "
    "one is the verdict. Exit code 1 means that the promise does not hold.",
)
