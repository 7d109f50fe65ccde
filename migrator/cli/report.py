"""`migrator report`: where every contact stands, from the ledger alone."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, add_json, add_ledger
from migrator.cli.session import read_ledger, settings_of, tell_result
from migrator.errors import ExitCode, LedgerError, UsageError
from migrator.text import count_noun, json_text, one_line

if TYPE_CHECKING:
    from migrator.progress import Display
    from migrator.report import Report


def _add_options(parser: argparse.ArgumentParser) -> None:
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--watch",
        action="store_true",
        help="show the progress of the running command until it ends, then the report; "
        "Ctrl-C ends only the watching",
    )
    shape.add_argument(
        "--html",
        metavar="FILE",
        help="write the report, with the contacts behind the numbers, as one page for a browser",
    )
    shape.add_argument(
        "--csv",
        metavar="FILE",
        help="write the held contacts to this file, to be corrected in a spreadsheet",
    )
    parser.add_argument(
        "--sign-off",
        metavar="PROOF",
        help="with --html: write a page to be signed instead, from what `migrator audit` printed: "
        "sums, reasons, mapping and the head of the proof, without personal data",
    )
    parser.add_argument(
        "--changed",
        action="store_true",
        help="with --csv: write what changed in HubSpot since it was sent instead, field by field",
    )
    add_ledger(parser)
    add_json(parser)


def report(args: argparse.Namespace, display: Display) -> int:
    """Show the state of all contacts; raises LedgerError if the counts are inconsistent."""
    from migrator.report import as_json, next_step, render

    if args.changed and args.csv is None:
        raise UsageError("--changed needs --csv FILE.", "migrator report --changed --csv FILE")
    if args.sign_off is not None:
        if args.html is None:
            raise UsageError(
                "--sign-off needs --html FILE.",
                "migrator report --html sign-off.html --sign-off proof.jsonl",
            )
        return _write_sign_off(args, display)
    if args.csv is not None:
        return _write_changed(args) if args.changed else _write_held(args, display)
    if args.json and not args.watch and args.html is None:
        return _print_all(args)
    report = _report(args, display)
    if report is None:
        return ExitCode.DONE  # only the watching was interrupted
    if args.html is not None:
        _tell_of_page(args, report, display)
    elif args.watch and args.json:
        tell_result("report", ExitCode.DONE, as_json(report))
    else:
        command, why = next_step(report)
        render(report, following=(display.following(command), why))
    return _check_sums(report)


def _check_sums(report: Report) -> int:
    if not report.closes:
        raise LedgerError(
            "The sums do not close: the ledger does not have the contacts that HubSpot returned.",
            "keep the file as it is, and report this",
        )
    return ExitCode.DONE


def _print_all(args: argparse.Namespace) -> int:
    """The report as JSON, with every contact that is not as it was sent."""
    import time

    from migrator.report import as_json, since_sent, summary
    from migrator.streams import tell

    with read_ledger(settings_of(args).ledger) as ledger:
        killed = summary.killed_run(ledger)
        with ledger.transaction():
            report = summary.snapshot(ledger, killed, time.time)
            every = since_sent.read(ledger)
    tell(json_text({**as_json(report), "since_sent": since_sent.as_json(every)}, indent=2))
    return _check_sums(report)


def _report(args: argparse.Namespace, display: Display) -> Report | None:
    """The report that the options ask for; `None` = none, as Ctrl-C ended `--watch`."""
    from migrator.cli.watch import look, watch

    path = settings_of(args).ledger
    if args.html is not None:
        # Imported here because it loads slowly, and only --html needs it.
        from migrator.report.html import write_page

        with read_ledger(path) as ledger:
            return write_page(ledger, Path(args.html))
    if not args.watch:
        return look(path)
    try:
        return watch(path, display)
    except KeyboardInterrupt as error:
        if error.args:  # SIGTERM is no end that was asked for here
            raise
        return look(path) if args.json else None


def _tell_of_page(args: argparse.Namespace, report: Report, display: Display) -> None:
    from migrator.streams import tell

    if args.json:
        tell(json_text({"html": args.html}))
    else:
        tell(f"The report is in {one_line(args.html)}")
    if report.forgotten_ms is None:
        display.say("It contains personal data: keep it as safe as the ledger.")


def _write_sign_off(args: argparse.Namespace, display: Display) -> int:
    from migrator.report.sign_off import write_sign_off
    from migrator.streams import tell

    with read_ledger(settings_of(args).ledger) as ledger:
        proof = write_sign_off(ledger, Path(args.sign_off), Path(args.html))
    holds = proof.verdict["holds"]
    if args.json:
        tell(json_text({"html": args.html, "head": proof.head, "holds": holds}))
    else:
        tell(f"The page to sign is in {one_line(args.html)}")
    if not holds:
        display.say("The audit found faults: migrator audit names them.")
    return ExitCode.DONE if holds else ExitCode.NEEDS_ATTENTION


def _write_held(args: argparse.Namespace, display: Display) -> int:
    from migrator.amend import export
    from migrator.streams import tell

    with read_ledger(settings_of(args).ledger) as ledger:
        number = export(ledger, Path(args.csv))
        is_erased = ledger.erasure.erased_at() is not None
    if args.json:
        tell(json_text({"held": number, "csv": args.csv}))
    else:
        tell(f"{count_noun(number, 'contact')} held, and written to {one_line(args.csv)}")
    if number and not is_erased:
        display.say_next(f"correct it, then: migrator amend {shlex.quote(args.csv)}")
    return ExitCode.DONE


def _write_changed(args: argparse.Namespace) -> int:
    from migrator.amend import export_changes
    from migrator.streams import tell

    with read_ledger(settings_of(args).ledger) as ledger:
        number = export_changes(ledger, Path(args.csv))
    if args.json:
        tell(json_text({"changed": number, "csv": args.csv}))
    else:
        tell(f"{count_noun(number, 'contact')} changed, and written to {one_line(args.csv)}")
    return ExitCode.DONE


COMMAND = Command(
    "report",
    "show the state of all contacts, from the ledger alone",
    [
        "migrator report",
        "migrator report --watch",
        "migrator report --json | jq .states",
        "migrator report --html report.html",
        "migrator report --html sign-off.html --sign-off proof.jsonl",
        "migrator report --csv held.csv",
        "migrator report --csv changed.csv --changed",
    ],
    _add_options,
    report,
    about="It needs no network and changes nothing, so it can be used while a push is running.",
)
