"""
Removes what a probe made: its leads singly by id, then its client, without a purge.

Leads that were given up may still land, so a client is deleted only when none can come any more.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from migrator.leadgenius import LeadGeniusClient
from migrator.mapping import is_removed
from migrator.probe.people import client_mark, is_invented
from migrator.probe.record import ProbeClients
from migrator.probe.requests import Pauses, ProbeRequests

Rows = Sequence[Mapping[str, Any]]

# A younger client may be in use by a probe on another machine.
_IN_USE_FOR = timedelta(hours=1)
# Before each look at the list of clients, which shows what the DELETE before it did.
_BEFORE_CLIENT_TRIES = (0.0, 0.0, 1.0, 2.0)
_PAUSE_SECONDS = 1.0
# A lead that is still listed so long after its DELETE is deleted again, as often as this.
_AGAIN_AFTER_SECONDS = 5.0
_DELETES_A_LEAD = 5


class Removal:
    """
    The removal of a probe's own client and of earlier ones.

    Args:
        say: Prints a line.
        wait_seconds: How long deleted leads may stay listed.
    """

    def __init__(
        self,
        requests: ProbeRequests,
        pauses: Pauses,
        wait_seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._requests = requests
        self._pause = pauses.pause
        self._wait_seconds = wait_seconds
        self._say = say

    def remove(
        self,
        client: LeadGeniusClient,
        look: Callable[[], Rows],
        may_come_seconds: Callable[[], float],
        unlisted: Callable[[], Collection[str]] = tuple,
    ) -> list[str]:
        """
        Remove a client that a probe made, with its leads.

        Args:
            look: Lists its leads.
            may_come_seconds: How much longer leads may come.
            unlisted: The ids of leads that are there although no listing showed them.

        Returns:
            The ids of what is left, leads first.
        """
        left = self._remove_leads(look, may_come_seconds)
        left += [one for one in unlisted() if not self._requests.delete(one)]
        if not left and self._remove_client(client):
            return []
        return [*left, client.client_id]

    def _remove_leads(
        self, look: Callable[[], Rows], may_come_seconds: Callable[[], float]
    ) -> list[str]:
        """The ids of the leads that stay: other people's, and those that were not deleted."""
        deletes: dict[str, list[float]] = {}
        pause, end = _PAUSE_SECONDS / 4, time.monotonic() + self._wait_seconds
        while True:
            alive = [row for row in look() if not is_removed(row)]
            ours = [row for row in alive if self._requests.may_change(row)]
            for lead_id in (str(row["id"]) for row in ours):
                sent = deletes.setdefault(lead_id, [])
                if not sent or time.monotonic() - sent[-1] > _AGAIN_AFTER_SECONDS:
                    self._requests.delete(lead_id)
                    sent.append(time.monotonic())
                    end = max(end, sent[-1] + self._wait_seconds)
            may_come = may_come_seconds()
            is_stuck = time.monotonic() > end or any(
                len(sent) >= _DELETES_A_LEAD for sent in deletes.values()
            )
            if not may_come and (not ours or is_stuck):
                return [str(row["id"]) for row in alive]
            self._pause(min(pause, may_come or pause))
            pause = min(2 * pause, 2 * _PAUSE_SECONDS)

    def _remove_client(self, client: LeadGeniusClient) -> bool:
        """
        Whether it is deleted, and not listed any more.

        Neither proves it alone: a call that LeadGenius does not offer is answered with 404, too,
        and a list of clients may not be complete.
        """
        is_deleted = False
        for seconds in _BEFORE_CLIENT_TRIES:
            self._pause(seconds)
            listed = [one for one in self._requests.clients() if one.client_id == client.client_id]
            if is_deleted and not listed:
                return True
            is_deleted |= self._requests.delete_client(listed[0] if listed else client)
        return False

    def remove_earlier(self, record: ProbeClients, began: float) -> list[str]:
        """
        Remove what earlier probes left.

        Args:
            began: When this probe began, on the monotonic clock: the ones before were over by then.

        Returns:
            The ids of what this machine's probes made and that could not be removed.
        """
        clients, left = self._requests.clients(), []

        def may_come_seconds() -> float:
            return max(0.0, began + self._wait_seconds - time.monotonic())

        for client in clients:
            entry = next((one for one in record.earlier if one.is_of(client)), None)
            if entry is None and not self._is_abandoned(client):
                continue
            self._requests.take_on(client)
            rows = self._look(client)
            if foreign := [row for row in rows if not is_invented(row)]:
                self._say(
                    f"The client {client.client_id} of an earlier probe is left: it has leads that "
                    f"no probe made, such as {foreign[0]['id']}. Delete it in LeadGenius."
                )
                left += [client.client_id] if entry else []
                continue
            still = self.remove(client, partial(self._look, client), may_come_seconds)
            left += still
            if not still:
                self._say(f"Removed the client {client.client_id} that an earlier probe left.")
                if entry:
                    record.drop(entry.token)
        record.drop_outdated(clients)
        return left

    def _look(self, client: LeadGeniusClient) -> Rows:
        return [row for page in self._requests.pages(client.client_id) for row in page.leads]

    def _is_abandoned(self, client: LeadGeniusClient) -> bool:
        """Whether a client that this machine does not know of is an old one of a probe."""
        mark = client_mark(client.description)
        if mark is None or client.client_id in self._requests.own:
            return False
        age = datetime.now(UTC) - _time_of(mark[0])
        if age > _IN_USE_FOR:
            return True
        self._say(
            f"The client {client.client_id} is left: a probe elsewhere made it at {mark[0]}, and "
            "may be at work. A probe later than an hour after that removes it."
        )
        return False


def _time_of(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
