"""
The experiments of a probe: each answers a question on which the migration rests.

An experiment is a generator. It sends, yields an `Until` to wait for what the listings show, is
resumed with whether that came in time, and returns what it found, by the fields of `Findings`. So
all of them wait at the same time. It raises `NotMeasured` where it cannot tell.
"""

import math
import statistics
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from migrator.errors import Declined
from migrator.mapping import FIELDS, is_removed
from migrator.mapping.text import text_of
from migrator.probe.people import ProbeLead
from migrator.probe.workbench import NotMeasured, Workbench, answered, reason_of

_PLAIN_LEADS = 10
_GIVEN_UP_LEADS = 6
# "The connection is closed right after sending": no answer comes over a network so soon.
_AT_ONCE_SECONDS = 0.0002
# Of the usual time of an answer: the service has the request by then, and is at work.
_HALFWAY = 0.5
_NOTES_CHARACTERS = 2_400
_LONGEST_ELLIPSIS = 5
_SMALL_PAGE = 5
# A value of each field that the mapping may name, as HubSpot's contacts have them.
_VALUES = {
    "fullName": "Ada Probe",
    "contactName": "Ada Probe",
    "emailStatus": "verified",
    "phoneNumber": "+1 202 555 0143",
    "sanitizedPhoneNumber": "+12025550143",
    "linkedinUrl": "https://www.linkedin.com/in/migrator-probe",
    "headline": "Measures destinations",
    "title": "Engineer",
    "seniority": "senior",
    "companyName": "Probe Example",
    "companyUrl": "https://example.com",
    "companyDomain": "example.com",
    "companyLinkedinUrl": "https://www.linkedin.com/company/migrator-probe",
    "country": "Ireland",
    "state": "Leinster",
    "city": "Dublin",
    "industry": "Software",
    "status": "new",
    "leadQualify": "yes",
    "functions": "engineering",
    "departments": "engineering",
    "subdepartments": "quality",
    "keywords": "probe",
}

# Those that the guide sends.
_OF_THE_GUIDE = ("companyName", "companyUrl", "phoneNumber", "title")

Found = dict[str, Any]


@dataclass(frozen=True)
class Until:
    """
    A wait for a listing.

    Args:
        is_met: Asked after each listing.
        since: When what is waited for was sent, on the monotonic clock: the wait of the probe
            counts from there.
    """

    is_met: Callable[[], bool]
    since: float


# Not a wait: only a listing, if one is due, so that what it shows is timed well.
_LISTING = Until(lambda: True, math.inf)

Steps = Generator[Until, bool, Found]


@dataclass(frozen=True)
class Experiment:
    """
    One question.

    Args:
        name: As `not_measured` has it.
        tells: What it tells, for people; it is the reason to make it.
        requests: How many it makes itself, at most, without the listings.
        steps: The experiment.
        is_last: Whether it asks what all leads of the others add to, so begins after them.
    """

    name: str
    tells: str
    requests: int
    steps: Callable[[Workbench], Steps]
    is_last: bool = False


def _listed(*leads: ProbeLead) -> Until:
    for lead in leads:
        if not lead.is_created:
            raise NotMeasured(reason_of(lead.sent))
    return Until(lambda: all(lead.row for lead in leads), leads[-1].answered_at)


def _check(is_in_time: bool, bench: Workbench, what: str) -> None:
    if not is_in_time:
        raise NotMeasured(f"{what} within {bench.wait_seconds:g} s")


def _latency(bench: Workbench) -> Steps:
    leads = [bench.create() for _ in range(_PLAIN_LEADS)]
    good = answered(leads)
    if not good:
        raise NotMeasured(reason_of(leads[-1].sent))
    _check((yield _listed(*good)), bench, "not all leads were listed")
    times = sorted(round(1000 * (lead.answered_at - lead.sent_at)) for lead in good)
    p95 = times[math.ceil(0.95 * len(times)) - 1]
    return {"latency_ms": {"median": round(statistics.median(times)), "p95": p95, "max": times[-1]}}


def _late(bench: Workbench) -> Steps:
    usual = [lead.answered_at - lead.sent_at for lead in answered(bench.leads)]
    halfway = _HALFWAY * statistics.median(usual) if usual else 0.0
    leads = []
    for number in range(_GIVEN_UP_LEADS):
        patience = halfway if number % 2 else 0.0
        leads.append(bench.give_up(max(_AT_ONCE_SECONDS, patience)))
        yield _LISTING
    lost = [lead for lead in leads if not lead.is_answered and not lead.is_ruled_out]
    if not lost:
        raise NotMeasured("LeadGenius answered before a request could be given up")
    yield Until(lambda: all(lead.listed_at for lead in lost), lost[-1].sent_at)
    landed = [lead.listed_at - lead.sent_at for lead in lost if lead.listed_at is not None]
    return {"late_s": max((round(one, 3) for one in landed), default=None)}


def _fields(bench: Workbench) -> Steps:
    values = {name: _VALUES[name] for name in FIELDS if name in _VALUES}
    lead = bench.create(**values, notes="A line of notes.")
    _check((yield _listed(lead)), bench, "the lead was not listed")
    stored, is_whole = bench.read(lead)
    shown = [name for name in FIELDS if stored.get(name) is not None]
    if not is_whole and len(shown) <= len(FIELDS) / 2:
        raise NotMeasured("LeadGenius shows a selection of fields only")
    return {"fields_kept": tuple(n for n in shown if text_of(stored[n]) == lead.fields[n])}


def _notes(bench: Workbench) -> Steps:
    lines = (f"Line {number} of the probe's notes.\n" for number in range(_NOTES_CHARACTERS))
    sent = "".join(lines)[:_NOTES_CHARACTERS].strip()
    lead = bench.create(**{name: _VALUES[name] for name in _OF_THE_GUIDE}, notes=sent)
    _check((yield _listed(lead)), bench, "the lead was not listed")
    read, is_whole = bench.read(lead)
    if not is_whole and "notes" not in read:
        raise NotMeasured("LeadGenius shows no notes")
    kept = notes_kept(sent, text_of(read.get("notes")))
    if kept is None:
        raise NotMeasured("LeadGenius changes the words of notes")
    return {"notes_kept": kept}


def notes_kept(sent: str, stored: str) -> bool | int | None:
    """What is kept of notes, as `Findings` has it; `None` = they are changed, and not only cut."""
    stored = stored.replace("\r\n", "\n")
    if stored.strip() == sent:
        return True
    same = next((at for at, (a, b) in enumerate(zip(sent, stored, strict=False)) if a != b), None)
    kept = min(len(sent), len(stored)) if same is None else same
    return None if len(stored) - kept > _LONGEST_ELLIPSIS else kept or False


def _batch(bench: Workbench) -> Steps:
    leads = bench.create_batch(2)

    def is_decided() -> bool:
        return any(lead.row for lead in leads) or bench.is_settled(leads[-1].answered_at)

    _check((yield Until(is_decided, leads[-1].answered_at)), bench, "not all leads were listed")
    return {"batch_saves": any(lead.row for lead in leads)}


def _odd_value(finding: str, name: str, value: str) -> Callable[[Workbench], Steps]:
    """The experiment with a value that some deployments refuse."""

    def steps(bench: Workbench) -> Steps:
        lead = bench.create(**{name: value})
        if lead.sent.is_payload_error:
            return {finding: "error"}
        _check((yield _listed(lead)), bench, "the lead was not listed")
        is_kept = bench.read(lead)[0].get(name) == value
        return {finding: "kept" if is_kept else "dropped"}

    return steps


def _same_email(bench: Workbench) -> Steps:
    first = bench.create()
    _check((yield _listed(first)), bench, "the lead was not listed")
    second = bench.create(email=first.fields["email"])
    if second.sent.is_payload_error:
        return {"same_email": "refused"}
    if not second.is_created:
        raise NotMeasured(reason_of(second.sent))
    if second.id == first.id:
        return {"same_email": "updated"}

    def is_decided() -> bool:
        return second.row is not None or _shows(first, "lastName", second.fields["lastName"])

    _check((yield Until(is_decided, second.answered_at)), bench, "the lead was not listed")
    return {"same_email": "updated" if second.row is None else "second_lead"}


def _update(bench: Workbench) -> Steps:
    leads = [bench.create(title="Engineer", city="Dublin") for _ in _UPDATES]
    _check((yield _listed(*leads)), bench, "the leads were not listed")
    names = [bench.person({})["lastName"] for _ in leads]  # shows when an update is seen
    before, taken = [], []
    for lead, name, change in zip(leads, names, _UPDATES.values(), strict=True):
        yield _LISTING
        before.append(_values(bench, lead))
        sent = bench.update(lead, lastName=name, **change)
        if sent.created_id is None and not (change and sent.is_payload_error):
            raise NotMeasured(reason_of(sent))
        taken.append(sent.created_id is not None)

    def are_seen() -> bool:
        of_all = zip(leads, names, taken, strict=True)
        return all(_shows(lead, "lastName", name) for lead, name, is_taken in of_all if is_taken)

    _check((yield Until(are_seen, bench.sent_at)), bench, "the updates were not seen")
    found: dict[str, bool | None] = {}
    for name, lead, had, is_taken in zip(_UPDATES, leads, before, taken, strict=True):
        now = _values(bench, lead)
        # Of the service's own fields, some may come and go.
        gone = (had.keys() & lead.fields.keys()) - now.keys() if is_taken else set()
        found[name] = not gone if name == "partial" else "title" in gone
        if name != "partial" and "title" not in had:
            found[name] = None  # no read shows the field
    return {"update": found}


_UPDATES: Mapping[str, Mapping[str, Any]] = {
    "partial": {},
    "null_clears": {"title": None},
    "empty_clears": {"title": ""},
}


def _values(bench: Workbench, lead: ProbeLead) -> dict[str, Any]:
    """The values that reads show of a listed lead: those listed, else those found."""
    shown = {**(bench.find(lead) or {}), **(lead.row or {})}
    return {name: value for name, value in shown.items() if value not in (None, "")}


def _delete(bench: Workbench) -> Steps:
    lead = bench.create()
    _check((yield _listed(lead)), bench, "the lead was not listed")
    bench.delete(lead)
    deleted_at = bench.sent_at
    seen = Until(lambda: lead.row is None or is_removed(lead.row), deleted_at)
    _check((yield seen), bench, "the lead was still listed")
    if lead.row is not None:
        return {"delete": "marked"}
    # Reads of one lead may lag as the listing does.
    yield Until(lambda: bench.is_settled(deleted_at), deleted_at)
    return {"delete": "hidden" if _is_to_be_had(bench, lead) else "hard"}


def _is_to_be_had(bench: Workbench, lead: ProbeLead) -> bool:
    """Whether a lead that is not listed can be read by its id, or on asking for deleted ones."""
    requests, lead_id = bench.requests, str(lead.sent.created_id)
    with suppress(Declined):
        if requests.by_id(lead_id) is not None:
            return True
    with suppress(Declined):
        rows = requests.page(bench.client.client_id, includeDeleted="true").leads
        return any(str(row["id"]) == lead_id for row in rows)
    return False


def _pages(bench: Workbench) -> Steps:
    yield Until(lambda: bench.are_all_listed, bench.sent_at)
    listed = sum(len(page.leads) for page in bench.pages)
    with_next = [page for page in bench.pages if page.cursor is not None]
    limit = max((len(page.leads) for page in with_next), default=None)
    page = bench.requests.page(bench.client.client_id, rows=_SMALL_PAGE)
    if page.cursor is None:
        raise NotMeasured("no page had a cursor")
    is_size = None if page.total is None else page.total == len(page.leads) < listed
    return {
        "page_limit": limit,
        "cursor": page.cursor_name,
        "total_is_page_size": is_size,
    }


def _rate_limit(bench: Workbench) -> Steps:
    yield _LISTING
    return {"rate_limit": bench.requests.limit}


def _listing_fields(bench: Workbench) -> Steps:
    yield Until(lambda: bench.are_all_listed, bench.sent_at)
    return {"listing_fields": tuple(sorted(bench.listed_fields))}


def _list_lag(bench: Workbench) -> Steps:
    yield Until(lambda: bench.are_all_listed, bench.sent_at)
    if bench.list_lag_s is None:
        raise NotMeasured("no listing came soon enough after an answer")
    return {"list_lag_s": round(bench.list_lag_s, 3)}


def _shows(lead: ProbeLead, name: str, value: object) -> bool:
    return lead.row is not None and lead.row.get(name) == value


EXPERIMENTS = (
    Experiment("latency", "how fast a push can be", _PLAIN_LEADS, _latency),
    Experiment("late", "how long a doubt has to rest", _GIVEN_UP_LEADS, _late),
    Experiment("fields", "which fields can be compared", 2, _fields),
    Experiment("notes", "whether our lines survive", 2, _notes),
    Experiment("batch", "whether the batch call saves", 1, _batch),
    Experiment(
        "phone",
        "what a field called phone comes to",
        3,
        _odd_value("phone", "phone", "+12025550143"),
    ),
    Experiment(
        "empty_string", "what an empty text comes to", 3, _odd_value("empty_string", "title", "")
    ),
    Experiment(
        "dot_last_name",
        'what "." as the last name comes to',
        3,
        _odd_value("dot_last_name", "lastName", "."),
    ),
    Experiment("same_email", "whether an e-mail can have two leads", 3, _same_email),
    Experiment("update", "what an update leaves alone, and how to clear a field", 13, _update),
    Experiment("delete", "how a deleted lead is recognised", 5, _delete),
    Experiment("pages", "how a listing goes on", 1, _pages, is_last=True),
    Experiment("rate_limit", "the pace", 0, _rate_limit, is_last=True),
    Experiment("listing_fields", "which fields verify can see", 0, _listing_fields, is_last=True),
    Experiment("list_lag", "when a listing proves absence", 0, _list_lag, is_last=True),
)
# Listings during the experiments, the removal of some thirty leads, and the client.
REQUESTS = sum(one.requests for one in EXPERIMENTS) + 30 + 40 + 6
