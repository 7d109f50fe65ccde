"""
What a push would do: which leads it would send, which not and why, and how many requests it takes.

`read` reads a `Plan` from the ledger and, where there is one, a listing of the client;
`as_json` and `render` show it. It changes nothing and sends no request.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from migrator.errors import NotReady
from migrator.ledger import DuplicatePair, LeadIdentity, Ledger, ProvenanceGroup
from migrator.rate_limit import SAFE_PER_MINUTE
from migrator.report import summary
from migrator.report.labels import COMPANY_RULES, HOLDS, MADE_UP, contacts, iso, quoted
from migrator.report.layout import (
    bare_table,
    key_values,
    next_line,
    print_to,
    titled,
    with_commands,
)
from migrator.report.next_step import next_command, next_step
from migrator.report.payloads import Sample, first, sample_json
from migrator.report.request_estimate import RequestEstimate, estimate
from migrator.report.summary import Report
from migrator.states import Hold, State
from migrator.text import count_noun, duration, one_line

FIRST_DUPLICATES = 5
# The greatest counts: a lead with our provenance line is ours, even where others share its
# e-mail.
_FOREIGN, _BEATEN, _OURS = 1, 2, 3


@dataclass
class DestinationScan:
    """
    What the leads listed at LeadGenius mean for the contacts to send (design, I5).

    It takes one page at a time, reads only the ledger, and keeps one byte for each contact.
    """

    pages: int = 0
    leads: int = 0
    _marks: bytearray = field(default_factory=bytearray)

    def take(self, ledger: Ledger, page: Sequence[LeadIdentity]) -> None:
        """Match a page of leads to contacts."""
        self.pages += 1
        self.leads += len(page)
        seen = ledger.reconciliation.match_listing(page)
        for keys, mark in ((seen.foreign, _FOREIGN), (seen.beaten, _BEATEN), (seen.ours, _OURS)):
            for key in keys:
                self._mark(key, mark)

    def _mark(self, key: int, mark: int) -> None:
        if key >= len(self._marks):
            self._marks.extend(bytes(key + 1 - len(self._marks)))
        self._marks[key] = max(mark, self._marks[key])

    @property
    def ours(self) -> int:
        """Contacts whose leads are there already, with our line: a push adopts them."""
        return self._marks.count(_OURS)

    @property
    def beaten(self) -> int:
        """Contacts to send that share their e-mail with one of those: a push holds them."""
        return self._marks.count(_BEATEN)

    @property
    def foreign(self) -> int:
        """Contacts to send whose e-mail a foreign lead has: a push holds them."""
        return self._marks.count(_FOREIGN)

    @property
    def kept_back(self) -> int:
        """All of those: contacts that a push would not send because of existing leads."""
        return self.ours + self.beaten + self.foreign

    def keeps_back(self, key: int) -> bool:
        """Whether a push would not send this contact because of existing leads."""
        return key < len(self._marks) and self._marks[key] > 0


@dataclass(frozen=True)
class Plan:
    """
    What a push would do; the page and the JSON show this.

    Args:
        report: The report on the ledger.
        leadgenius_url, client_id: Destination of the leads; `client_id=None` = not chosen yet.
        alike: The contacts to send, grouped by how their leads were derived.
        duplicates: The first duplicates, and the contact sent in place of each.
        look: Result of listing the client; `None` = not listed, for the reason in `not_looked`.
        requests: Number of requests that the push takes.
        is_pace_found: Whether the rate is one that an earlier push found.
        samples: The first leads, as they would be sent.
    """

    report: Report
    leadgenius_url: str
    client_id: str | None
    alike: Sequence[ProvenanceGroup]
    duplicates: Sequence[DuplicatePair]
    look: DestinationScan | None
    not_looked: str | None
    requests: RequestEstimate
    is_pace_found: bool
    samples: Sequence[Sample]

    @property
    def sendable(self) -> int:
        """Contacts that are ready to send."""
        return self.report.states[State.MAPPED].free

    @property
    def made_up(self) -> Mapping[str, int]:
        """Contacts to send by value that the mapping derived; one can count several times."""
        counter: Counter[str] = Counter()
        for one in self.alike:
            counter.update(dict.fromkeys(one.derived_fields, one.contacts))
        return dict(sorted(counter.items()))

    @property
    def company_rules(self) -> Mapping[str, int]:
        """Contacts to send by rule that chose the company; `none` = HubSpot has none."""
        counter: Counter[str] = Counter()
        for one in self.alike:
            counter[one.company_rule or "none"] += one.contacts
        return dict(sorted(counter.items()))

    @property
    def without_company_name(self) -> int:
        """Contacts to send whose leads have no company name."""
        return sum(one.contacts for one in self.alike if not one.has_company_name)

    @property
    def outdated(self) -> int:
        """Contacts to send whose leads were built by a mapping that is not active any more."""
        return sum(one.contacts for one in self.alike if one.is_outdated)

    @property
    def held(self) -> Mapping[Hold, int]:
        """Held contacts by reason."""
        return {waiting.held: waiting.contacts for waiting in self.report.held}

    @property
    def duplicate_contacts(self) -> int:
        """Contacts that are not sent because another one has the same e-mail."""
        return self.held.get(Hold.DUPLICATE_EMAIL, 0)

    @property
    def conflicts(self) -> int:
        """Contacts that wait for a person to decide between HubSpot's value and LeadGenius's."""
        return self.held.get(Hold.CONFLICT, 0) + self.held.get(Hold.DIFFERENT, 0)


def check_staged(ledger: Ledger) -> None:
    """
    Ensure that there is something to plan.

    Raises:
        LedgerForgotten: the ledger's personal data was erased.
        NotReady: nothing was staged yet.
    """
    ledger.erasure.ensure_not_erased()
    extraction = ledger.runs.checkpoint("extraction")
    if ledger.runs.binding().portal_id is None or not (extraction.contacts_seen or extraction.scan):
        raise NotReady(f"Nothing is staged in the ledger {ledger.path} yet.", "migrator stage")


def read(
    ledger: Ledger,
    *,
    leadgenius_url: str,
    client_id: str | None,
    look: DestinationScan | None,
    not_looked: str | None,
    per_minute: float | None,
    samples: int,
) -> Plan:
    """
    Read the plan.

    Args:
        look: Result of listing the client; `None` = not listed.
        not_looked: Why it was not listed, for people.
        per_minute: Rate to assume; `None` = what an earlier push found, else the safe one.
        samples: Number of sample leads to read.
    """
    report = summary.read(ledger)
    keeps_back = (look or DestinationScan()).keeps_back
    with ledger.transaction():
        found = ledger.runs.rate() if per_minute is None else None
        return Plan(
            report=report,
            leadgenius_url=leadgenius_url,
            client_id=client_id,
            alike=ledger.counts.by_provenance(),
            duplicates=ledger.counts.duplicate_pairs(FIRST_DUPLICATES),
            look=look,
            not_looked=not_looked,
            requests=_estimate(ledger, report, look, per_minute or found or SAFE_PER_MINUTE),
            is_pace_found=found is not None,
            samples=first(ledger, client_id, keeps_back, samples),
        )


def _estimate(
    ledger: Ledger, report: Report, look: DestinationScan | None, per_minute: float
) -> RequestEstimate:
    states, journey = report.states, ledger.runs
    known = states[State.POSTED].total + states[State.VERIFIED].total
    free = states[State.MAPPED].free
    return estimate(
        leads=free if look is None else max(0, free - look.kept_back),
        there=known if look is None else look.leads,
        # What another ledger sent last may still arrive: a push then lists twice.
        looks=2 if look and look.ours else int(free > 0),
        in_doubt=report.in_doubt,
        canary=not journey.is_canary_passed(),
        per_minute=per_minute,
    )


# As JSON


def as_json(plan: Plan) -> dict[str, Any]:
    """
    The plan as JSON values, under names that do not change.

        ledger, at, journey   as in `report --json`, but as a push would have them
        sendable              contacts that are ready to send
        would_send            those of them that are not kept back by leads at the destination
        in_doubt              contacts that a push settles first
        to_map                contacts that `stage` has to map first
        outdated              sendable ones whose leads were built by another mapping
        extracted             whether a scan of HubSpot reached its last page
        made_up               {kind: sendable contacts}
        company               {primary, associatedcompanyid, first, none: sendable contacts}; only
                              those that there are
        without_company_name  sendable contacts
        held                  {reason: contacts}
        duplicates            {contacts, first: [{contact, winner, why}]}
        update                {changed_since_sent, conflicts, gone}: contacts that `update` would
                              compare, those that wait for a decision, and those with a lead that
                              HubSpot has no more
        destination           {looked, why_not, leads, requests, adopted, duplicates, held};
                              adopted: contacts whose leads are there with our line; duplicates:
                              contacts with the e-mail of one of those; held: contacts whose e-mail
                              another lead has; null = not looked
        requests              {look, settle, canary, leads, checks, push, logins, verification}
        per_minute, seconds   the rate that is assumed, and how long the push takes at it
        samples               [{contact, would_be_sent, why_not, payload}]
        next                  the next command to type; null = none
    """
    report = plan.report
    return {
        "ledger": report.ledger,
        "at": iso(report.now_ms),
        "journey": {
            "portal_id": report.binding.portal_id,
            "leadgenius_url": plan.leadgenius_url,
            "client_id": plan.client_id,
        },
        **_contacts_json(plan),
        "destination": _destination_json(plan.look, plan.not_looked),
        **_requests_json(plan.requests),
        "samples": [sample_json(one) for one in plan.samples],
        "next": next_command(report) or None,
    }


def _contacts_json(plan: Plan) -> dict[str, Any]:
    report = plan.report
    return {
        "sendable": plan.sendable,
        "would_send": plan.requests.leads,
        "in_doubt": report.in_doubt,
        "to_map": report.states[State.EXTRACTED].free,
        "outdated": plan.outdated,
        "extracted": report.is_extracted,
        "made_up": dict(plan.made_up),
        "company": dict(plan.company_rules),
        "without_company_name": plan.without_company_name,
        "held": {str(hold): number for hold, number in plan.held.items()},
        "duplicates": {
            "contacts": plan.duplicate_contacts,
            "first": [_pair_json(one) for one in plan.duplicates],
        },
        "update": {
            "changed_since_sent": report.changed.contacts,
            "conflicts": plan.conflicts,
            "gone": report.gone.contacts,
        },
    }


def _destination_json(look: DestinationScan | None, why_not: str | None) -> dict[str, Any]:
    return {
        "looked": look is not None,
        "why_not": why_not,
        "leads": look and look.leads,
        "requests": look and look.pages,
        "adopted": look and look.ours,
        "duplicates": look and look.beaten,
        "held": look and look.foreign,
    }


def _requests_json(requests: RequestEstimate) -> dict[str, Any]:
    purposes = {name: value for name, value in vars(requests).items() if name != "per_minute"}
    return {
        "requests": {**purposes, "push": requests.push, "logins": requests.logins},
        "per_minute": requests.per_minute,
        "seconds": round(requests.seconds, 1),
    }


def _pair_json(pair: DuplicatePair) -> dict[str, Any]:
    return {
        "contact": pair.hubspot_id,
        "winner": pair.winner,
        "why": why_it_wins(pair),
    }


def why_it_wins(pair: DuplicatePair) -> str:
    """Why another contact is sent in place of a duplicate."""
    if pair.winner is None or pair.state is None:
        return "no contact has this e-mail any more; `migrator stage` frees it"
    if pair.state in (State.POSTED, State.VERIFIED):
        return "LeadGenius has its lead"
    held = "" if pair.held is None else f"; itself held: {pair.held}"
    return f"{'HubSpot returned it first' if pair.is_earlier else 'it is ready to send'}{held}"


# As a page


def render(plan: Plan, console: Console | None = None) -> None:
    """
    Print the plan without its samples.

    Args:
        console: Where to; `None` = stdout.

    Raises:
        BrokenPipeError: the reader of the output is gone.
    """
    print_to(lambda is_utf: _parts(plan, is_utf), console)


def _parts(plan: Plan, is_utf: bool) -> Iterator[RenderableType]:
    yield _header(plan)
    yield from _warnings(plan)
    yield _headline(plan)
    if assumptions := list(_assumptions(plan)):
        yield titled("Of these", _counted(assumptions))
    if plan.held:
        yield titled("Held, not sent", _held_table(plan, is_utf))
    if plan.duplicates:
        yield titled("Duplicates", _duplicate_rows(plan))
    yield titled("In LeadGenius", _destination_rows(plan))
    if rows := list(_update_rows(plan)):
        yield titled("An update", _counted(rows))
    yield titled("It takes", _request_rows(plan))
    yield next_line(*next_step(plan.report))


def _header(plan: Plan) -> RenderableType:
    where = "no client chosen: `migrator clients` lists them"
    if plan.client_id is not None:
        where = f"client {quoted(plan.client_id)}"
    where = f"{quoted(plan.leadgenius_url)}, {where}"
    return key_values([("ledger", plan.report.ledger), ("to", with_commands(where))])


def _warnings(plan: Plan) -> Iterator[RenderableType]:
    report = plan.report
    if report.running is not None:
        words = f"`{report.running.command}` is running: the numbers are of this moment."
        yield Text(words, style="yellow")
    if not report.is_extracted:
        words = f"{report.why_not_extracted}: `migrator stage` first."
        yield Text(with_commands(words), style="yellow")
    if unmapped := report.states[State.EXTRACTED].free:
        words = f"{contacts(unmapped)} not mapped yet: `migrator stage` first."
        yield Text(with_commands(words), style="yellow")
    if plan.outdated:
        words = f"{contacts(plan.outdated)} mapped by another mapping than the active one: "
        yield Text(with_commands(f"{words}`migrator stage` first."), style="yellow")


def _headline(plan: Plan) -> RenderableType:
    sends = plan.requests.leads
    text = Text(f"A push would send {sends:,} leads.", style="bold")
    if plan.report.in_doubt:
        words = f" Before that it settles {plan.report.in_doubt:,} in doubt."
        text.append(words, style="yellow")
    if plan.look is not None and plan.look.kept_back:
        text.append(f" {plan.sendable:,} are ready to send; some of them are already there.")
    return text


def _assumptions(plan: Plan) -> Iterator[tuple[int, str]]:
    for kind, number in plan.made_up.items():
        field, words = MADE_UP.get(kind, ("", one_line(kind)))
        yield number, f"{field}: {words}" if field else words
    if number := plan.without_company_name:
        yield number, "companyName: none"
    for rule, number in plan.company_rules.items():
        if rule not in ("primary", "none"):
            yield number, f"company: {COMPANY_RULES.get(rule, rule)}"


def _update_rows(plan: Plan) -> Iterator[tuple[int, str]]:
    """What is known of the contacts that were sent, without looking at LeadGenius."""
    for number, words in (
        (plan.report.changed.contacts, "changed in HubSpot since sent: `migrator update` compares"),
        (plan.conflicts, "in conflict: decide with --prefer, or `migrator amend`"),
        (plan.report.gone.contacts, "gone from HubSpot, with a lead: `migrator undo --gone`"),
    ):
        if number:
            yield number, with_commands(words)


def _counted(rows: Sequence[tuple[int, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for number, words in rows:
        grid.add_row(Text(f"{number:,}"), Text(words, overflow="fold"))
    return grid


def _held_table(plan: Plan, is_utf: bool) -> RenderableType:
    table = bare_table(is_utf)
    table.add_column("contacts", justify="right", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    table.add_column("", ratio=1, overflow="fold")
    for hold, number in plan.held.items():
        table.add_row(f"{number:,}", Text(str(hold)), Text(HOLDS[hold][0], style="dim"))
    return table


def _duplicate_rows(plan: Plan) -> RenderableType:
    rows = [Text(_pair(one), overflow="fold") for one in plan.duplicates]
    if (more := plan.duplicate_contacts - len(rows)) > 0:
        rows.append(Text(f"and {more:,} more"))
    grid = Table.grid()
    for row in rows:
        grid.add_row(row)
    return grid


def _pair(pair: DuplicatePair) -> str:
    why = why_it_wins(pair)
    if pair.winner is None:
        return with_commands(f"{quoted(pair.hubspot_id)}: {why}")
    return f"{quoted(pair.winner)} is sent instead of {quoted(pair.hubspot_id)}: {why}"


def _destination_rows(plan: Plan) -> RenderableType:
    look = plan.look
    if look is None:
        words = f"not looked at: {one_line(plan.not_looked or '')}"
        return Text(with_commands(words), style="yellow")
    rows = [(look.leads, f"leads checked, in {count_noun(look.pages, 'request')}")]
    for number, words in (
        (look.ours, "with our line: adopted, not sent again"),
        (look.beaten, "with the same e-mail as one of those: held as duplicates"),
        (look.foreign, "whose e-mail another lead has: held (already_in_destination)"),
    ):
        if number:
            rows.append((number, words))
    return _counted(rows)


def _request_rows(plan: Plan) -> RenderableType:
    requests = plan.requests
    rows = [
        (requests.look, "to check the client before the first lead"),
        (requests.settle, "to look for contacts in doubt"),
        (requests.leads, "to send the leads, one each"),
        (requests.canary, "to read the first ones back"),
        (requests.checks, "to check that the client still exists"),
    ]
    grid = _counted([row for row in rows if row[0]])
    pace = f"{duration(requests.seconds)} at {requests.per_minute:,.4g} a minute"
    if plan.is_pace_found:
        pace += ", the rate found before"
    total = f"requests in total: {pace}; access tokens used: {requests.logins:,}"
    grid.add_row(Text(f"{requests.push:,}", style="bold"), Text(total))
    words = f"more for `migrator verify`{'' if plan.look else ', at least'}"
    grid.add_row(
        Text(f"{requests.verification:,}", style="dim"), Text(with_commands(words), style="dim")
    )
    return grid
