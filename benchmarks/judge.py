"""
The judge of a migration on the sandbox: its own record and the ledger's file, and nothing of ours.

It re-derives what the promise says (design, I1 to I5 and I8) from what the sandbox received and
holds and from the ledger as anybody could read it. It must never import from the migrator anything
but the two witnesses, the sandbox and the audit, which share nothing with the accused.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from migrator.audit import AuditVerdict, audit
from migrator.sandbox import LoggedRequest, Sandbox

UNAUTHORIZED = 401
# Answers that prove that nothing was created (design, I2); after any other a listing must speak.
PROOFS = {400, 401, 403, 404, 413, 422, 429}
RECORD = "[HubSpot record: "
# Of a send that was answered as it was done.
PLAIN = {None, "slow", "update:slow"}
UNFINISHED_PAGES = {"short_page", "empty_page", "repeat_cursor", "outage"}


class Broken(AssertionError):
    """The promise does not hold; the message says where."""


def judge(sandbox: Sandbox, path: Path, settle: float) -> AuditVerdict:
    """
    Every contact that can be sent is at the destination once, by an intent that was announced.

    Args:
        path: The ledger.
        settle: What the pushes were told, in seconds.

    Returns:
        What the audit found.

    Raises:
        Broken: it is not so.
    """
    with reading(path) as ledger:
        named = named_differences(ledger)
    verdict = sandbox.verdict()
    verdict = replace(verdict, wrong=[one for one in verdict.wrong if one not in named])
    _require(verdict.ok, f"the sandbox's verdict: {verdict}: {verdict.as_json()}")
    proof = judge_ledger(sandbox, path)
    with reading(path) as ledger:
        judge_sends(sandbox, ledger)
        judge_updates(sandbox, ledger)
    judge_patience(sandbox, settle)
    return proof


def named_differences(ledger: sqlite3.Connection) -> set[tuple[str, str]]:
    """
    (contact, field) of what differs from HubSpot, and the ledger says so.

    It was emptied there, which an update does not send (guide, rule 1), or people edited it and
    somebody decided to keep that.
    """
    emptied = ledger.execute(
        "SELECT hubspot_id, one.key FROM contact, json_each(lead) AS one WHERE new_lead IS NOT NULL"
        " AND json_extract(new_lead, '$.' || json_quote(one.key)) IS NULL"
    )
    edited = ledger.execute("SELECT hubspot_id, edited FROM contact WHERE edited IS NOT NULL")
    return {*emptied} | {(contact, name) for contact, names in edited for name in names.split(", ")}


def judge_ledger(sandbox: Sandbox, path: Path) -> AuditVerdict:
    """The ledger and the leads that the sandbox holds prove the promise, for every contact."""
    lines: list[str] = []
    proof = audit(path, sandbox.leads(), lines.append)
    _require(proof.holds, f"{[line for line in lines if 'rule' in json.loads(line)]}")
    _require(proof.is_complete, f"not at its end: {proof}")
    return proof


def judge_sends(sandbox: Sandbox, ledger: sqlite3.Connection) -> None:
    """Each POST that arrived was announced: its contact has an attempt with that very payload."""
    announced = Counter(
        ledger.execute(
            "SELECT hubspot_id, payload_hash FROM attempt JOIN contact ON key = contact_key"
        )
    )
    # A declined token created nothing, and the same send goes again.
    arrived = Counter(
        (contact_of(one.lead or {}), one.key)
        for one in posts(sandbox)
        if one.status != UNAUTHORIZED
    )
    for (contact, key), times in arrived.items():
        _require(
            times <= announced[contact, key],
            f"contact {contact}: {times} sends, and {announced[contact, key]} announced",
        )
    unwanted = {one.contact_id for one in sandbox.expected() if one.lead is None}
    sent = {contact for contact, _ in arrived}
    _require(not sent & unwanted, f"sent, and should not be: {sent & unwanted}")


def judge_updates(sandbox: Sandbox, ledger: sqlite3.Connection) -> None:
    """Each PUT that arrived was announced, and followed a look a minute old at most."""
    announced = Counter(
        ledger.execute("SELECT lead_id, payload_hash FROM attempt WHERE kind = 'update'")
    )
    arrived = Counter(
        (str((one.lead or {}).get("id")), one.key)
        for one in sandbox.received
        if one.method == "PUT" and one.status != UNAUTHORIZED
    )
    for (lead_id, key), times in arrived.items():
        _require(
            times <= announced[lead_id, key],
            f"lead {lead_id}: {times} updates, and {announced[lead_id, key]} announced",
        )
    blind = sandbox.verdict().edits.blind_writes
    _require(not blind, f"writes without a fresh look: {blind}")


def judge_patience(sandbox: Sandbox, settle: float) -> None:
    """Between a send in doubt and the next one a listing began after `settle` and was complete."""
    by_subject: dict[str, list[LoggedRequest]] = defaultdict(list)
    for one in posts(sandbox):
        by_subject[contact_of(one.lead or {})].append(one)
    for one in sandbox.received:
        if one.method == "PUT":
            by_subject[f"lead {(one.lead or {}).get('id')}"].append(one)
    looks = complete_listings(sandbox)
    for sends in by_subject.values():
        for first, again in pairwise(sends):
            is_answered = first.status in (200, 201) and first.fault in PLAIN
            if is_answered and first.method == "PUT":
                continue  # the next one is of another change; `judge_updates` asks for its look
            # One that was plainly answered can only have gone missing since.
            wait = 0.0 if is_answered else settle
            _require(
                first.status in PROOFS
                or any(
                    look[0].at >= first.at + wait and look[-1].number < again.number
                    for look in looks
                ),
                f"sent again without a look: {first} {again}",
            )


def complete_listings(sandbox: Sandbox) -> list[list[LoggedRequest]]:
    """
    The listings of leads that came to their last page, each as its requests.

    A page that is read once more on its own, right before a write, is left out.
    """
    listings: list[list[LoggedRequest]] = []
    for one in sandbox.received:
        # A page of one lead only asks whether the service is there.
        if (one.method, one.path) == ("GET", "/api/leads") and one.query.get("limit") != "1":
            if (cursor := _cursor(one)) is None:
                listings.append([])
            if listings and not any(
                _is_answered(old) and _cursor(old) == cursor for old in listings[-1]
            ):
                listings[-1].append(one)
    return [listing for listing in listings if _is_answered(listing[-1])]


def _cursor(page: LoggedRequest) -> str | None:
    return page.query.get("lastKey") or page.query.get("nextToken")


def _is_answered(page: LoggedRequest) -> bool:
    return page.status == 200 and page.fault not in UNFINISHED_PAGES


def posts(sandbox: Sandbox) -> list[Any]:
    """The leads' posts that the sandbox received, in order."""
    return [one for one in sandbox.received if (one.method, one.path) == ("POST", "/api/leads")]


def contact_of(lead: Mapping[str, Any]) -> str:
    """The contact that a lead of ours names in its notes; of another lead, its notes."""
    notes = str(lead["notes"])
    lines = (line for line in notes.splitlines() if line.startswith(RECORD))
    return next(lines, notes).rpartition("/")[2].removesuffix("]")


@contextmanager
def reading(path: Path, *, any_thread: bool = False) -> Iterator[sqlite3.Connection]:
    """The ledger as anybody could read it, with nothing of ours in between."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=not any_thread)
    try:
        yield connection
    finally:
        connection.close()


def _require(is_so: bool, words: str) -> None:
    if not is_so:
        raise Broken(words)
