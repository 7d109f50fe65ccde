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
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from migrator.errors import (
    MigratorError,
    NotReady,
    RunAgain,
    ServiceDown,
    StoppedEarly,
)
from migrator.findings import Findings
from migrator.leadgenius import LeadGenius, LeadGeniusClient
from migrator.probe.experiments import EXPERIMENTS, REQUESTS
from migrator.probe.people import client_description, client_name
from migrator.probe.record import ProbeClientEntry, ProbeClients, hold_probe_clients
from migrator.probe.removal import Removal
from migrator.probe.requests import PER_MINUTE, Pauses, ProbeRequests
from migrator.probe.schedule import run
from migrator.probe.since_last import since_last
from migrator.probe.workbench import Workbench
from migrator.text import count_noun

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
    Measure, and remove everything that was made for it, whatever happens.

    Raises:
        LedgerBusy: another probe is running.
        NotReady: LeadGenius does not let this login create a client or leads.
        StoppedEarly: LeadGenius fails. As with any error, `counters` has the ids of what is left.
        Interrupted: the user wants to stop.
    """
    done = 0

    def progress(name: str, reason: str | None) -> None:
        nonlocal done
        done += 1
        options.notice(requests.made, done)
        if reason is not None:
            options.say(f"Not measured: {name} ({reason}).")

    requests = ProbeRequests(leadgenius, pauses, lambda made: options.notice(made, done))
    began = time.monotonic()
    with hold_probe_clients(options.folder, options.url) as record:
        bench: Workbench | None = None
        token = secrets.token_hex(4)
        try:
            client = _create_client(requests, record, token)
            bench = Workbench(requests, client, token, options.wait_seconds, options.hasty)
            findings = run(EXPERIMENTS, bench, pauses.pause, progress)
        except BaseException as error:
            left = _remove(requests, pauses, options, record, bench, began, token)
            _add_left(error, left)
            raise
        left = _remove(requests, pauses, options, record, bench, began, token)
    return replace(findings, left_behind=tuple(left))


def _create_client(requests: ProbeRequests, record: ProbeClients, token: str) -> LeadGeniusClient:
    wall = time.time()
    name = client_name(token, wall)
    record.add(ProbeClientEntry(token, name, wall))
    try:
        client = requests.create_client(name, client_description(token, wall))
    except NotReady as error:
        record.drop(token)
        hint = "migrator auth --status, to see whose login it is; a probe needs a client of its own"
        raise NotReady(error.message, hint) from None
    except StoppedEarly as error:
        # The entry stays: the client may still come to be.
        raise ServiceDown(error.message, RunAgain(after=" later")) from None
    record.set_id(token, client.client_id)
    return client


def _remove(
    requests: ProbeRequests,
    pauses: Pauses,
    options: ProbeOptions,
    record: ProbeClients,
    bench: Workbench | None,
    began: float,
    token: str,
) -> list[str]:
    """Remove the probe's own client, then what earlier ones left; return the ids of the rest."""
    pauses.is_removing = True
    removal = Removal(requests, pauses, options.wait_seconds, options.say)
    left: list[str] = []
    if bench is not None:
        left = _remove_own(removal, bench, options)
        if not left:
            record.drop(token)
    with suppress(MigratorError):  # they stay in the record, for the next probe
        left += removal.remove_earlier(record, began)
    return left


def _remove_own(removal: Removal, bench: Workbench, options: ProbeOptions) -> list[str]:
    if (seconds := bench.may_land_seconds()) > 1:
        options.say(
            f"Removing what the probe made. LeadGenius may still save leads that were given up: "
            f"this takes up to {seconds:.0f} s."
        )
    try:
        return removal.remove(bench.client, bench.look, bench.may_land_seconds)
    except MigratorError as error:
        leads = [str(lead.id) for lead in bench.leads if lead.id is not None]
        options.say(f"The removal failed: {error.message}")
        return [*leads, bench.client.client_id]


def _add_left(error: BaseException, left: list[str]) -> None:
    """Name in an error what is left behind."""
    if not isinstance(error, MigratorError):
        return
    counters: Mapping[str, Any] = {"left_behind": left}
    error.counters = counters
    if left:
        error.message = (
            f"{error.message} {count_noun(len(left), 'thing')} of the probe left in LeadGenius, "
            f"which the next probe removes: {', '.join(left)}."
        )
    else:
        error.message = f"{error.message} Nothing of the probe is left in LeadGenius."
