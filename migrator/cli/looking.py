"""Commands that only look: nothing is sent, and the ledger stays as it is."""

import argparse
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrator.cli.session import settings_of
from migrator.config import Settings
from migrator.errors import ExitCode, LedgerError
from migrator.ledger import Ledger, exclusive
from migrator.progress import Display, tell
from migrator.text import count_noun, json_text, one_line

if TYPE_CHECKING:
    from migrator.audit import AuditVerdict
    from migrator.report import Report


def report(args: argparse.Namespace, display: Display) -> int:
    """Show where every contact stands; raises LedgerError when the sums do not close."""
    from migrator.report import as_json, render

    if args.csv is not None:
        return _write_held(args, display)
    report = _report(args, display)
    if report is None:
        return ExitCode.DONE  # nothing was interrupted but the looking
    if args.html is not None:
        _tell_of_page(args, report, display)
    elif args.watch and args.json:
        tell(json_text({"event": "result", "command": "report", **as_json(report)}))
    elif args.json:
        tell(json_text(as_json(report), indent=2))
    else:
        with suppress(BrokenPipeError):
            render(report)
    if not report.closes:
        raise LedgerError(
            "The sums do not close: the ledger's contacts are not those that HubSpot gave.",
            "keep the file as it is, and report this",
        )
    return ExitCode.DONE


def _report(args: argparse.Namespace, display: Display) -> "Report | None":
    """The report that is asked for; `None` = Ctrl-C ended the watching."""
    from migrator.cli.watch import look, watch

    path = settings_of(args).ledger
    if args.html is not None:
        # Only now: its libraries take longer to load than a report takes to read.
        from migrator.report.html import write_page

        with Ledger.open_read_only(path) as ledger:
            return write_page(ledger, Path(args.html))
    if not args.watch:
        return look(path)
    try:
        return watch(path, display)
    except KeyboardInterrupt:
        return None


def _tell_of_page(args: argparse.Namespace, report: "Report", display: Display) -> None:
    if args.json:
        tell(json_text({"html": args.html}))
    else:
        tell(f"The report is in {one_line(args.html)}")
    if report.forgotten_ms is None:
        display.say("It names people: keep it as you keep the ledger.")


def _write_held(args: argparse.Namespace, display: Display) -> int:
    from migrator.amend import export

    with Ledger.open_read_only(settings_of(args).ledger) as ledger:
        number = export(ledger, Path(args.csv))
    if args.json:
        tell(json_text({"held": number, "csv": args.csv}))
    else:
        tell(f"{count_noun(number, 'contact')} held, and written to {one_line(args.csv)}")
    if number:
        display.say(f"next: correct it, then: migrator amend {shlex.quote(args.csv)}")
    return ExitCode.DONE


def audit(args: argparse.Namespace, display: Display) -> int:
    """Write the proof of a ledger as JSON Lines; LEFT_FOR_A_PERSON when it does not hold."""
    from migrator.audit import NotALedger
    from migrator.audit import audit as prove

    path = settings_of(args).ledger
    with Ledger.open_read_only(path) as ledger:
        client_id = ledger.runs.binding().client_id
        settings = settings_of(args, ["leadgenius"] if client_id else [])
        ledger.runs.check(leadgenius_url=settings.leadgenius_url, client_id=settings.client_id)
    with exclusive(path):

        def look_again(unseen: int) -> Iterator[Mapping[str, Any]]:
            display.say(f"{unseen:,} leads are not listed yet: looking again in {args.settle:g} s")
            time.sleep(args.settle)
            return _listing(args, settings, client_id, display)

        try:
            verdict = prove(
                path, _listing(args, settings, client_id, display), _print_line, look_again
            )
        except NotALedger as error:
            raise LedgerError(f"{error}.", "migrator report") from None
    display.say(_words(verdict))
    return ExitCode.DONE if verdict.holds else ExitCode.NEEDS_ATTENTION


def _listing(
    args: argparse.Namespace, settings: Settings, client_id: str | None, display: Display
) -> Iterator[Mapping[str, Any]]:
    """All leads of the ledger's client; none where nothing was ever sent."""
    if client_id is None:
        return
    # Only now: whoever looks at the ledger alone should not wait for what speaks to a service.
    from migrator import preflight

    leadgenius, _ = preflight.open_leadgenius(settings, timeout_seconds=args.timeout)
    leadgenius.check_client(client_id)
    odd = 0
    for page in leadgenius.lead_pages(client_id):
        yield from page.leads
        odd += len(page.odd)
    if odd:
        display.say(f"{count_noun(odd, 'row')} of the list without an id left out")


def _print_line(line: Mapping[str, Any]) -> None:
    tell(json_text(line))


def _words(verdict: "AuditVerdict") -> str:
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
    if verdict.unknown:
        parts.append(
            f"{count_noun(verdict.unknown, 'lead')} of contacts that this ledger does not know"
        )
    return " · ".join(parts)


def show(args: argparse.Namespace, display: Display) -> int:
    """Tell the whole story of one contact."""
    from migrator.report.contact import as_json, read, render

    with Ledger.open_read_only(settings_of(args).ledger) as ledger:
        histories = read(ledger, args.contact)
    if args.json:
        tell(json_text(as_json(histories), indent=2))
    else:
        with suppress(BrokenPipeError):
            render(histories)
    return ExitCode.DONE
