"""The verbs in this process, against a sandbox."""

import hashlib
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks.judge import judge, reading
from migrator import connections
from migrator.config import Settings, load
from migrator.counters import PushCounters, StageCounters
from migrator.http import HttpClient
from migrator.hubspot import HubSpot
from migrator.leadgenius import Credentials, LeadGenius, Tokens
from migrator.ledger import Ledger
from migrator.mapping import Rules
from migrator.push import PushOptions, push
from migrator.rate_limit import RateLimiter, RateState
from migrator.sandbox import Sandbox
from migrator.signals import Signals
from migrator.stage import stage
from migrator.verify import VerifyResult, verify

SETTLE = 0.4


def asked_of_sqlite(patch: pytest.MonkeyPatch) -> list[str]:
    """Every statement from now on, with its values in their places."""
    statements: list[str] = []
    connect = sqlite3.connect

    def traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.set_trace_callback(statements.append)
        return connection

    patch.setattr(sqlite3, "connect", traced)
    return statements


@dataclass
class Journey:
    """One ledger between the two services of a sandbox; closes its connections by itself."""

    sandbox: Sandbox
    ledger: Ledger
    wires: list[HttpClient] = field(default_factory=list)

    def settings(self) -> Settings:
        folder = self.ledger.path.parent
        environ = {**self.sandbox.environment(), "HOME": str(folder)}
        return load({"ledger": str(self.ledger.path)}, environ, folder)

    def hubspot(self) -> HubSpot:
        return HubSpot(
            self.http("HubSpot", 5.0), self.sandbox.hubspot_token, "v3", self.sandbox.portal_id
        )

    def leadgenius(self, timeout: float = 5.0) -> LeadGenius:
        http = self.http("LeadGenius", timeout)
        login = Credentials(self.sandbox.email, lambda: self.sandbox.password)
        return LeadGenius(http, Tokens(http, None, login))

    def http(self, service: str, timeout: float) -> HttpClient:
        """Back-offs are cut short: what is tested here is not how long they are."""
        http = HttpClient(
            service,
            self.sandbox.url,
            timeout_seconds=timeout,
            pause=lambda seconds: time.sleep(min(seconds, 0.02)),
        )
        self.wires.append(http)
        return http

    def close(self) -> None:
        for http in self.wires:
            http.close()
        self.wires.clear()

    def stage(
        self, rules: Rules | None = None, check: Callable[[], None] = lambda: None
    ) -> StageCounters:
        try:
            hubspot = self.hubspot()
            portal_id = connections.bind_source(self.ledger, hubspot)
            return stage(self.ledger, hubspot, portal_id=portal_id, rules=rules, check=check)
        finally:
            self.close()

    def push(
        self,
        *,
        leadgenius: LeadGenius | None = None,
        rate: RateState | None = None,
        signals: Any = None,
        timeout: float = 5.0,
        notice: Callable[[PushCounters], None] = lambda progress: None,
        is_taken_over: bool = False,
        **options: Any,
    ) -> PushCounters:
        chosen = {
            "portal_id": self.sandbox.portal_id,
            "client_id": self.sandbox.client_id,
            "settle_seconds": SETTLE,
            "workers": 4,
            "canary": 0,
            **options,
        }
        self.ledger.runs.bind(leadgenius_url=self.sandbox.url, client_id=chosen["client_id"])
        service = leadgenius or self.leadgenius(timeout)
        to = connections.BoundDestination(service, chosen["client_id"], chosen["portal_id"])
        try:
            with connections.hold_sender(
                self.ledger, self.settings(), to, "push", is_taken_over=is_taken_over
            ) as sender:
                return push(
                    self.ledger,
                    service,
                    RateLimiter(rate or RateState.unlimited()),
                    PushOptions(**chosen),
                    run_id=self.ledger.runs.begin_run("push"),
                    signals=signals or Signals(),
                    notice=notice,
                    sender=sender,
                )
        finally:
            self.close()

    def verify(self, pause: Callable[[float], None] = time.sleep, **options: Any) -> VerifyResult:
        try:
            return verify(
                self.ledger,
                self.leadgenius(),
                client_id=self.sandbox.client_id,
                portal_id=self.sandbox.portal_id,
                settle_seconds=SETTLE,
                pause=pause,
                **options,
            )
        finally:
            self.close()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with reading(self.ledger.path) as ledger:
            return ledger.execute(sql).fetchall()

    def judge(self) -> None:
        judge(self.sandbox, self.ledger.path, SETTLE)

    def outcomes(self) -> dict[str | None, int]:
        return dict(self.ask("SELECT outcome, count(*) FROM attempt GROUP BY 1"))


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def contact(number: int, **more: str) -> Mapping[str, str]:
    return {"firstname": "Ada", "lastname": f"No{number}", "email": f"ada{number}@x.example"} | more
