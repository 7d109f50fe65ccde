"""
`migrator probe`: what LeadGenius really does, measured in a client of the probe's own.

    people       the invented people that it sends, and the marks of what it makes
    requests     the one place where its requests are made: guard, pace
    workbench    its leads, and listings of them
    experiments  the questions, each a small experiment
    schedule     runs the experiments so that their waits pass at the same time
    record       what the state folder knows of its clients
    removal      removes everything again, also what an earlier probe left
    since_last   what changed since the probe before, in words
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from migrator.errors import (
    Interrupted,
    MigratorError,
    NotReady,
    RunAgain,
    ServiceDown,
    StoppedEarly,
)
from migrator.findings import Findings
from migrator.leadgenius import LeadGenius, LeadGeniusClient
from migrator.probe.experiments import EXPERIMENTS, REQUESTS, Experiment
from migrator.probe.people import client_description, client_name
from migrator.probe.record import ProbeClientEntry, ProbeClients, hold_probe_clients
from migrator.probe.removal import Removal
from migrator.probe.requests import PER_MINUTE, Pauses, ProbeRequests
from migrator.probe.schedule import run
from migrator.probe.since_last import since_last
from migrator.probe.workbench import Workbench

__all__ = [
    "EXPERIMENTS",
    "PER_MINUTE",
    "REQUESTS",
    "Pauses",
    "ProbeOptions",
    "probe",
    "since_last",
]


@dataclass(frozen=True)
class ProbeOptions:
    """
    How to probe.

    Args:
        folder: The state folder.
        url: LeadGenius's base URL, without `/api`.
        wait_seconds: How long a request that was given up may take to come.
        hasty: Opens LeadGenius so that its answers are given up after so many seconds.
        say: Prints a line.
        notice: Shows the progress: requests so far, experiments done.
    """

    folder: Path
    url: str
    wait_seconds: float
    hasty: Callable[[float], LeadGenius]
    say: Callable[[str], None]
    notice: Callable[[int, int], None]


def probe(leadgenius: LeadGenius, pauses: Pauses, options: ProbeOptions) -> Findings:
    """
    Measure, and remove everything that was made for it, also after an exception.

    Raises:
        LedgerBusy: another probe is running.
        NotReady: LeadGenius does not let this login create a client or leads.
        StoppedEarly: LeadGenius fails. As with any error, `counters` has the ids of what is left.
        Interrupted: the user wants to stop.
    """
    with hold_probe_clients(options.folder, options.url) as record:
        one = _Probe(leadgenius, pauses, options, record)
        try:
            findings = one.measure()
        except BaseException as error:
            # A user who stops it waits for its own removal only.
            left = one.remove(with_earlier=not isinstance(error, Interrupted))
            if isinstance(error, MigratorError) and one.has_client:
                _add_left(error, left)
            raise
        return replace(findings, left_behind=tuple(one.remove()))


class _Probe:
    """One probe, while the record of its clients is held."""

    def __init__(
        self, leadgenius: LeadGenius, pauses: Pauses, options: ProbeOptions, record: ProbeClients
    ) -> None:
        self._options = options
        self._pauses = pauses
        self._record = record
        self._began = time.monotonic()
        self._token = secrets.token_hex(4)
        self._done = 0
        self._bench: Workbench | None = None
        self._requests = ProbeRequests(
            leadgenius, pauses, lambda made: options.notice(made, self._done)
        )

    def measure(self) -> Findings:
        """Create the client, and make all experiments."""
        client, wait_seconds = self._create_client(), self._options.wait_seconds
        self._bench = Workbench(
            self._requests, client, self._token, wait_seconds, self._options.hasty
        )
        self._record.set_id(self._token, client.client_id)
        return run(EXPERIMENTS, self._bench, self._pauses.pause, self._on_end)

    def _on_end(self, experiment: Experiment, reason: str | None) -> None:
        self._done += 1
        self._options.notice(self._requests.made, self._done)
        if reason is not None:
            self._options.say(
                f"Not measured: {experiment.name}, which tells {experiment.tells} ({reason})."
            )

    def _create_client(self) -> LeadGeniusClient:
        wall = time.time()
        name = client_name(self._token, wall)
        self._record.add(ProbeClientEntry(self._token, name, wall))
        try:
            return self._requests.create_client(name, client_description(self._token, wall))
        except NotReady as error:
            self._record.drop(self._token)
            raise NotReady(
                error.message, "migrator auth --status, to see whose login it is"
            ) from None
        except StoppedEarly as error:
            # The entry stays: the client may still come to be.
            raise ServiceDown(error.message, RunAgain(after=" later")) from None

    @property
    def has_client(self) -> bool:
        """Whether it has created its client."""
        return self._bench is not None

    def remove(self, *, with_earlier: bool = True) -> list[str]:
        """Remove what was made, then what earlier probes left; return the ids of the rest."""
        self._pauses.is_removing = True
        removal = Removal(
            self._requests, self._pauses, self._options.wait_seconds, self._options.say
        )
        left = [] if self._bench is None else self._remove_own(removal, self._bench)
        if self._bench is not None and not left:
            self._record.drop(self._token)
        if with_earlier:
            try:
                left += removal.remove_earlier(self._record, self._began)
            except MigratorError as error:
                self._options.say(f"What earlier probes left is not removed: {error.message}")
                left += self._record.left_earlier()
        return left

    def _remove_own(self, removal: Removal, bench: Workbench) -> list[str]:
        if (seconds := bench.may_land_seconds()) > 1:
            self._options.say(
                "Removing what the probe made. LeadGenius may still save leads that were given "
                f"up: this takes up to {seconds:.0f} s."
            )
        try:
            return removal.remove(
                bench.client, bench.look, bench.may_land_seconds, bench.unlisted_ids
            )
        except MigratorError as error:
            self._options.say(f"The removal failed: {error.message}")
            leads = [str(lead.id) for lead in bench.leads if lead.id is not None]
            return [*leads, bench.client.client_id]


def _add_left(error: MigratorError, left: list[str]) -> None:
    """Name in an error what is left behind."""
    error.counters = {"left_behind": left}
    if left:
        error.message += (
            f" Left behind in LeadGenius, for the next probe to remove: {', '.join(left)}."
        )
    else:
        error.message += " Nothing of the probe is left in LeadGenius."
