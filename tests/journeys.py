"""The verbs in this process, against a sandbox, and a judge that shares nothing with them."""

import hashlib
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from migrator import preflight
from migrator.config import Settings, load
from migrator.hubspot import HubSpot
from migrator.interruption import Interruption
from migrator.leadgenius import LeadGenius, Login, Tokens
from migrator.ledger import Ledger
from migrator.pacing import Pace, Pacer
from migrator.push import Options, Progress, push
from migrator.sandbox import Received, Sandbox
from migrator.stage import Counters, stage
from migrator.verify import Verified, verify
from migrator.wire import Wire

SETTLE = 0.4


@dataclass
class Journey:
    """One ledger between the two services of a sandbox; closes its connections by itself."""

    sandbox: Sandbox
    ledger: Ledger
    wires: list[Wire] = field(default_factory=list)

    def settings(self) -> Settings:
        folder = self.ledger.path.parent
        environ = {**self.sandbox.environment(), "HOME": str(folder)}
        return load({"ledger": str(self.ledger.path)}, environ, folder)

    def hubspot(self) -> HubSpot:
        return HubSpot(
            self.wire("HubSpot", 5.0), self.sandbox.hubspot_token, "v3", self.sandbox.portal_id
        )

    def leadgenius(self, timeout: float = 5.0) -> LeadGenius:
        wire = self.wire("LeadGenius", timeout)
        login = Login(self.sandbox.email, lambda: self.sandbox.password)
        return LeadGenius(wire, Tokens(wire, None, login))

    def wire(self, service: str, timeout: float) -> Wire:
        """Back-offs are cut short: what is tested here is not how long they are."""
        wire = Wire(
            service,
            self.sandbox.url,
            timeout_seconds=timeout,
            pause=lambda seconds: time.sleep(min(seconds, 0.02)),
        )
        self.wires.append(wire)
        return wire

    def close(self) -> None:
        for wire in self.wires:
            wire.close()
        self.wires.clear()

    def stage(self, check: Callable[[], None] = lambda: None) -> Counters:
        try:
            hubspot = self.hubspot()
            portal_id = preflight.bind_source(self.ledger, hubspot)
            return stage(self.ledger, hubspot, portal_id=portal_id, check=check)
        finally:
            self.close()

    def push(
        self,
        *,
        leadgenius: LeadGenius | None = None,
        pace: Pace | None = None,
        interruption: Any = None,
        timeout: float = 5.0,
        notice: Callable[[Progress], None] = lambda progress: None,
        **options: Any,
    ) -> Progress:
        chosen = {
            "portal_id": self.sandbox.portal_id,
            "client_id": self.sandbox.client_id,
            "settle_seconds": SETTLE,
            "workers": 4,
            "canary": 0,
            **options,
        }
        try:
            return push(
                self.ledger,
                leadgenius or self.leadgenius(timeout),
                Pacer(pace or Pace.unlimited()),
                Options(**chosen),
                run_id=self.ledger.journey.begin_run("push"),
                interruption=interruption or Interruption(),
                notice=notice,
            )
        finally:
            self.close()

    def verify(self, pause: Callable[[float], None] = time.sleep) -> Verified:
        try:
            return verify(
                self.ledger,
                self.leadgenius(),
                client_id=self.sandbox.client_id,
                portal_id=self.sandbox.portal_id,
                settle_seconds=SETTLE,
                pause=pause,
            )
        finally:
            self.close()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with reading(self.ledger.path) as ledger:
            return ledger.execute(sql).fetchall()

    def judge(self) -> None:
        judge(self.sandbox, self.ledger.path)

    def outcomes(self) -> dict[str | None, int]:
        return dict(self.ask("SELECT outcome, count(*) FROM attempt GROUP BY 1"))


# The judge ---------------------------------------------------------------------------------------

# Answers that prove that nothing was created (design, I2); after any other a listing must speak.
PROOFS = {400, 401, 403, 404, 413, 422, 429}
UNFINISHED_PAGES = {"short_page", "empty_page", "repeat_cursor"}


def judge(sandbox: Sandbox, path: Path) -> None:
    """
    Every contact that can be sent is at the destination once, by an intent that was announced.

    It reads the sandbox's own record and the ledger as anybody could, and asks nothing of ours.
    """
    verdict = sandbox.verdict()
    assert verdict.ok, verdict
    with reading(path) as ledger:
        judge_sums(ledger)
        judge_leads(sandbox, ledger)
    judge_patience(sandbox)


def judge_sums(ledger: sqlite3.Connection) -> None:
    """Nothing is in doubt, and every contact that HubSpot gave is counted once (design, I8)."""
    in_doubt = ledger.execute("SELECT count(*) FROM attempt WHERE outcome IS NULL").fetchone()
    assert in_doubt == (0,)
    by_hand = ledger.execute("SELECT state, ifnull(held, ''), count(*) FROM contact GROUP BY 1, 2")
    counted = ledger.execute("SELECT * FROM tally WHERE contacts > 0 ORDER BY 1, 2")
    sums = by_hand.fetchall()
    assert sums == counted.fetchall()
    given = ledger.execute("SELECT given FROM checkpoint WHERE name = 'extraction'").fetchone()
    assert given == (sum(contacts for *_, contacts in sums),)


def judge_leads(sandbox: Sandbox, ledger: sqlite3.Connection) -> None:
    """Each lead that was posted is its contact's only one, and its body the one announced."""
    announced = set(
        ledger.execute(
            "SELECT hubspot_id, payload_hash FROM attempt JOIN contact ON key = contact_key"
        )
    )
    known = dict(ledger.execute("SELECT hubspot_id, lead_id FROM contact"))
    bodies = {one.lead_id: one.key for one in sandbox.received if one.lead_id is not None}
    arrived = Counter[str]()
    for lead in sandbox.leads():
        if lead["id"] in bodies:
            owner = contact_of(lead)
            arrived[owner] += 1
            assert (owner, bodies[lead["id"]]) in announced, "a lead that no intent announced"
            assert known[owner] == lead["id"]
    wanted = {one.contact_id for one in sandbox.expected() if one.lead is not None}
    assert arrived.keys() <= wanted
    assert set(arrived.values()) <= {1}


def judge_patience(sandbox: Sandbox, settle: float = SETTLE) -> None:
    """Between a send in doubt and the next one a listing began after `settle` and was complete."""
    by_contact: dict[str, list[Received]] = defaultdict(list)
    for one in posts(sandbox):
        by_contact[contact_of(one.lead or {})].append(one)
    looks = complete_listings(sandbox)
    for sends in by_contact.values():
        for first, again in pairwise(sends):
            # One that was plainly answered can only have gone missing since.
            wait = 0.0 if first.status == 201 and first.misfortune in (None, "slow") else settle
            assert first.status in PROOFS or any(
                look[0].at >= first.at + wait and look[-1].number < again.number for look in looks
            ), f"sent again without a look: {first} {again}"


def complete_listings(sandbox: Sandbox) -> list[list[Received]]:
    """The listings of leads that came to their last page, each as its requests."""
    listings: list[list[Received]] = []
    for one in sandbox.received:
        if (one.method, one.path) == ("GET", "/api/leads"):
            if not one.query.keys() & {"lastKey", "nextToken"}:
                listings.append([])
            listings[-1].append(one)
    return [
        listing
        for listing in listings
        if listing[-1].status == 200 and listing[-1].misfortune not in UNFINISHED_PAGES
    ]


def contact_of(lead: Mapping[str, Any]) -> str:
    """The contact that a lead of ours names in the last line of its notes."""
    return str(lead["notes"]).splitlines()[-1].rpartition("/")[2]


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The ledger as anybody could read it, with nothing of ours in between."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def posts(sandbox: Sandbox) -> list[Any]:
    """The leads' posts that the sandbox received, in order."""
    return [one for one in sandbox.received if (one.method, one.path) == ("POST", "/api/leads")]


def contact(number: int, **more: str) -> Mapping[str, str]:
    return {"firstname": "Ada", "lastname": f"No{number}", "email": f"ada{number}@x.example"} | more
