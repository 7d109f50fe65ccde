"""`migrator preflight`: try everything that a migration needs, a line or two for each check."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, add_client, add_json, add_ledger, add_timeout
from migrator.cli.session import line_width, survey_of
from migrator.errors import ExitCode
from migrator.text import json_text, one_line, wrapped

if TYPE_CHECKING:
    from migrator.preflight import Check
    from migrator.progress import Display

_MARKS = {True: "✓", False: "✗", None: "·", "warning": "!"}
_MARKS_IN_ASCII = {True: "ok", False: "FAIL", None: "-", "warning": "warn"}
_NAME_WIDTH = 16


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_timeout(parser)
    add_client(parser)
    add_ledger(parser)
    add_json(parser)


def preflight(args: argparse.Namespace, display: Display) -> int:
    """Check everything that a migration needs; returns NOT_READY if a check fails."""
    from migrator.preflight import Preflight
    from migrator.streams import tell

    tried = Preflight(survey_of(args, ["hubspot", "leadgenius"]), args.timeout)
    if args.json:
        checks = [vars(check) for check in tried.checks()]
        hubspot = tried.hubspot_as_json()
        found = {
            "ready": not tried.failed,
            "checks": checks,
            "hubspot": hubspot,
            "profile": tried.profile_as_json(),
        }
        tell(json_text(found, indent=2))
    else:
        for line in _lines(tried.checks(), display):
            tell(line)
    if tried.failed:
        # Not raised: with --json, stdout is one document, which says already what fails.
        display.error(*_not_ready(tried.failed))
        return ExitCode.NOT_READY
    if not args.json:
        tell(f"\nReady. Next: {display.following(tried.next_command)}")
    return ExitCode.DONE


def _not_ready(failed: list[Check]) -> tuple[str, str]:
    """The message, and the next command."""
    names = ", ".join(f"{check.group} {check.name}" for check in failed)
    words = "1 check fails" if len(failed) == 1 else f"{len(failed)} checks fail"
    return f"Not ready: {words} ({names}).", failed[0].next or "migrator preflight"


def _lines(checks: Iterator[Check], display: Display) -> Iterator[str]:
    marks = _MARKS if _is_able() else _MARKS_IN_ASCII
    width = max(map(len, marks.values()))
    group = ""
    for check in checks:
        if check.group != group:
            yield f"{group and chr(10)}{check.group}"
            group = check.group
        mark = marks["warning" if check.is_warning else check.ok]
        head = f"  {mark:<{width}} {check.name:<{_NAME_WIDTH}} "
        for number, line in enumerate(check.found.splitlines()):
            yield _wrapped(" " * len(head) if number else head, _shown(line))
        if check.next is not None:
            yield _wrapped(f"{'next: ':>{len(head)}}", _shown(display.following(check.next)))


def _shown(text: str) -> str:
    return one_line(text) if _is_able() else one_line(text).replace("…", "...")


def _is_able() -> bool:
    """Whether stdout can encode the marks."""
    try:
        "✓✗·…".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _wrapped(head: str, text: str) -> str:
    limit = line_width()
    if limit is None:
        return head + text
    return "\n".join(wrapped(text, max(limit, len(head) + 20), head, " " * len(head)))


COMMAND = Command(
    "preflight",
    "check everything that a migration needs, without changing anything",
    ["migrator preflight", "migrator preflight --json | jq .ready"],
    _add_options,
    preflight,
)
