"""
What the experiments of a probe work with: its client, its leads, and listings of them.

A listing is read every now and then while experiments go on, and shared by all of them. The time
between two listings grows with the time since the last send, so that a wait of a minute takes some
twenty of them, and measures its length to about a seventh.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from migrator.errors import Declined, MigratorError
from migrator.http import SendOutcome
from migrator.leadgenius import LeadGenius, LeadGeniusClient, LeadPage
from migrator.mapping import is_removed
from migrator.probe.people import ProbeLead, person
from migrator.probe.requests import ProbeRequests
from migrator.states import Outcome

_SOONEST_SECONDS = 0.25
_SHARE_OF_WAIT = 1 / 7
# Of the time between two listings at the pace, so that sends have their share.
_REQUESTS_A_LISTING = 1.5
# A lag is measured only where a listing began so soon after the answer.
_SOON_SECONDS = 1.0
# What was answered this much longer ago than the longest lag is listed, or will never be.
_LAGS_TO_SETTLE = 2
_SHORTEST_SETTLE_SECONDS = 1.0


class NotMeasured(Exception):
    """An experiment cannot tell; its text is the reason, within a sentence."""


class Workbench:
    """
    The leads of one probe.

    Args:
        client: The probe's own.
        token: The probe's, for its invented people.
        wait_seconds: How long a lead may take to be listed.
        hasty: Opens LeadGenius so that its answers are given up after so many seconds.

    Attributes:
        pages: The newest complete listing; empty = none was read yet.
        listed_fields: The fields of all listed leads so far, except for removed ones.
        sent_at: When the last write was answered, on the monotonic clock.
        look_began: When the newest listing began.
    """

    def __init__(
        self,
        requests: ProbeRequests,
        client: LeadGeniusClient,
        token: str,
        wait_seconds: float,
        hasty: Callable[[float], LeadGenius],
    ) -> None:
        self.requests = requests
        self.client = client
        self.wait_seconds = wait_seconds
        self._token = token
        self._hasty = hasty
        self._numbers = 0
        self.sent_at = self._looked_at = time.monotonic()
        self.look_began = -math.inf
        self.leads: list[ProbeLead] = []
        self.pages: list[LeadPage] = []
        self.listed_fields: set[str] = set()

    # Writes

    def create(self, **fields: Any) -> ProbeLead:
        """Send a lead of a new person, and if it is not created another one's, as likewise."""
        lead = self._create(fields)
        return lead if lead.is_created else self._create(fields)

    def _create(self, fields: Mapping[str, Any]) -> ProbeLead:
        whole = self.person(fields)
        sent, answer = self.requests.create(self.client.client_id, whole)
        return self._add(whole, sent, answer)

    def give_up(self, seconds: float) -> ProbeLead:
        """Send a lead, and close the connection if its answer takes longer than `seconds`."""
        whole = self.person({})
        sent = self.requests.give_up(self._hasty(seconds), self.client.client_id, whole)
        return self._add(whole, sent)

    def create_batch(self, size: int) -> list[ProbeLead]:
        """Send several leads in one call."""
        several = [self.person({}) for _ in range(size)]
        sent = self.requests.create_batch(self.client.client_id, several)
        if sent.outcome is not Outcome.CREATED and not sent.is_payload_error:
            raise NotMeasured(reason_of(sent))
        unknown = SendOutcome(None, sent.status)  # of each single lead
        return [self._add(one, unknown) for one in several]

    def update(self, lead: ProbeLead, **fields: Any) -> SendOutcome:
        """Change a lead."""
        self.sent_at = time.monotonic()
        return self.requests.update(_id_of(lead), fields)

    def delete(self, lead: ProbeLead) -> None:
        """Delete a lead."""
        self.sent_at = time.monotonic()
        if not self.requests.delete(_id_of(lead)):
            raise NotMeasured("LeadGenius did not delete a lead")

    def person(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a new person, and those given."""
        self._numbers += 1
        return {**person(self._token, self._numbers), **fields}

    def _add(
        self, fields: Mapping[str, Any], sent: SendOutcome, answer: Mapping[str, Any] | None = None
    ) -> ProbeLead:
        self.sent_at = time.monotonic()
        left_at = self.requests.left_at
        self.leads.append(ProbeLead(fields, sent, left_at, self.sent_at, answer or {}))
        return self.leads[-1]

    # Reads

    def next_look_at(self) -> float:
        """When the next listing is due, on the monotonic clock."""
        share = (self._looked_at - self.sent_at) * _SHARE_OF_WAIT
        paced = _REQUESTS_A_LISTING * self.requests.interval_seconds * max(1, len(self.pages))
        return self._looked_at + max(_SOONEST_SECONDS, paced, share)

    def look(self) -> list[Mapping[str, Any]]:
        """Read a complete listing, and note what it shows of each lead; return its rows."""
        began = time.monotonic()
        self.pages = self.requests.pages(self.client.client_id)
        former_began, self.look_began = self.look_began, began
        self._looked_at = time.monotonic()
        rows = [row for page in self.pages for row in page.leads]
        for row in rows:
            if not is_removed(row):
                self.listed_fields.update(filter(str.isprintable, row))
        by_id = {str(row["id"]): row for row in rows}
        by_person = {str(row.get("email") or row.get("lastName")): row for row in rows}
        for lead in self.leads:
            self._note(lead, by_id, by_person, former_began)
        return rows

    def _note(
        self,
        lead: ProbeLead,
        by_id: Mapping[str, Any],
        by_person: Mapping[str, Any],
        former_began: float,
    ) -> None:
        if lead.id is not None:
            lead.row = by_id.get(lead.id)
        else:
            names = (lead.fields["email"], lead.fields["lastName"])
            lead.row = next((by_person[one] for one in names if one in by_person), None)
        if lead.row is None or lead.listed_at is not None:
            return
        lead.listed_at = self._looked_at
        was_absent = former_began > lead.answered_at
        if was_absent or self.look_began - lead.answered_at < _SOON_SECONDS:
            lead.lag_s = lead.listed_at - lead.answered_at

    @property
    def list_lag_s(self) -> float | None:
        """The longest time from an answer to being listed; `None` = no lead shows it."""
        lags = (lead.lag_s for lead in self.leads if lead.is_created and lead.lag_s is not None)
        return max(lags, default=None)

    @property
    def are_all_listed(self) -> bool:
        """Whether all leads that were created for certain are listed."""
        return all(lead.listed_at is not None for lead in self.leads if lead.is_created)

    def unlisted_ids(self) -> list[str]:
        """
        The ids of leads that are there although no listing has shown them.

        If all that were created for certain were listed, no other one is hidden. Else the others
        are looked for by their e-mails.
        """
        if self.are_all_listed:
            return []
        found = []
        for lead in self.leads:
            if lead.listed_at is not None or lead.is_ruled_out:
                continue
            if lead.id is not None:
                found.append(lead.id)
            else:
                with suppress(MigratorError):
                    row = self.requests.find(self.client.client_id, lead.fields["email"])
                    found += [str(row["id"])] if row and self.requests.may_change(row) else []
        return found

    def is_settled(self, since: float) -> bool:
        """Whether the newest listing shows for certain what was answered at that time."""
        settle = max(_SHORTEST_SETTLE_SECONDS, _LAGS_TO_SETTLE * (self.list_lag_s or 0))
        return self.are_all_listed and self.look_began >= since + settle

    def may_land_seconds(self) -> float:
        """How much longer a lead that is not listed yet may come; 0 = none may."""
        now = time.monotonic()
        return max((self._may_land_seconds(lead, now) for lead in self.leads), default=0.0)

    def _may_land_seconds(self, lead: ProbeLead, now: float) -> float:
        if lead.listed_at is not None or lead.is_ruled_out:
            return 0.0
        # LeadGenius is done with what it answered, such as a 500; only the listing may lag.
        if lead.is_answered and not lead.is_created and self.is_settled(lead.answered_at):
            return 0.0
        return max(0.0, lead.answered_at + self.wait_seconds - now)

    def read(self, lead: ProbeLead) -> tuple[dict[str, Any], bool]:
        """
        A listed lead as it is stored, as far as reads show it, and whether that is all of it.

        Where LeadGenius does not find it by its e-mail, its answer to the creation counts for the
        fields that the listing does not show. If that shows more of what was sent than the listing
        does, it is not the same selection of fields: then it counts as all of the lead, and what it
        lacks is not stored. Else a field that is not shown may be stored all the same.
        """
        single, row = self.find(lead) or lead.answer, lead.row or {}
        is_whole = any(single.get(name) is not None for name in lead.fields.keys() - row.keys())
        return {**single, **row}, is_whole

    def find(self, lead: ProbeLead) -> Mapping[str, Any] | None:
        """A lead as found by its e-mail; `None` = it is not shown."""
        try:
            found = self.requests.find(self.client.client_id, lead.fields["email"])
        except Declined:
            return None
        return found if found is not None and str(found["id"]) == lead.id else None


def reason_of(sent: SendOutcome) -> str:
    """Why a send did not succeed, within a sentence."""
    what = "LeadGenius gave no answer" if sent.status is None else f"LeadGenius said {sent.status}"
    return f"{what}: {sent.answer}" if sent.answer else what


def _id_of(lead: ProbeLead) -> str:
    if lead.id is None:
        raise NotMeasured("a lead has no id")
    return lead.id


def answered(leads: Sequence[ProbeLead]) -> list[ProbeLead]:
    """Those that were created for certain."""
    return [lead for lead in leads if lead.is_created]
