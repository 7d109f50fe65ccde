"""The verbs of the journey: settings in, the verb called, its result in a line."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from migrator import preflight
from migrator.cli.ineffective import without_effect
from migrator.cli.mapping import read_rules, refuse_unknown_properties
from migrator.cli.session import CommandResult, CommandRun, require_ledger, work
from migrator.errors import (
    UNFINISHED,
    ExitCode,
    Interrupted,
    StoppedEarly,
    UnfinishedPush,
    UsageError,
)
from migrator.ledger import Ledger, Released, UnclaimedLead
from migrator.progress import Display
from migrator.push import PushCounters, PushOptions
from migrator.push import push as send
from migrator.rate_limit import OutageBudget, RateLimiter, RateState
from migrator.stage import StageCounters
from migrator.stage import stage as extract
from migrator.states import Hold
from migrator.text import count_noun, one_line
from migrator.verify import VerifyResult
from migrator.verify import verify as compare

NAMED_ON_THE_SCREEN = 20


def stage(args: argparse.Namespace, display: Display) -> int:
    """Extract all contacts from HubSpot and map them."""
    rules = None if args.mapping is None else read_rules(args.mapping, display)

    def body(session: CommandRun) -> CommandResult:
        outage = OutageBudget(args.retry_for * 60)
        hubspot = preflight.open_hubspot(
            session.settings,
            session.pausing("HubSpot", outage),
            args.timeout,
            outage=outage,
        )
        portal_id = preflight.bind_source(session.ledger, hubspot)
        if rules is not None:
            refuse_unknown_properties(args.mapping, rules, hubspot, display.say)
        counters = extract(
            session.ledger,
            hubspot,
            portal_id=portal_id,
            rules=rules,
            check=session.signals.check,
            notice=session.watch,
            note=session.note,
        )
        figures = session.ledger.counts
        held = sum(one.contacts for one in figures.sums() if one.held)
        withdrawn = f"{counters.withdrawn:,} to be mapped anew · " if counters.withdrawn else ""
        return CommandResult(
            f"{withdrawn}{counters.given:,} contacts read · {counters.new:,} new · "
            f"{counters.changed:,} changed · {figures.to_send():,} to be sent · {held:,} held"
            f"{without_effect(counters, session.display)}"
            f"{_odd_words(counters.odd, counters.odd_examples)}{_sweep_words(counters)}",
            counters.numbers(),
            ExitCode.DONE if _is_whole(counters) else ExitCode.STOPPED_EARLY,
            _sweep_details(counters),
        )

    return work(args, display, ["hubspot"], body)


_INCOMPLETE = "migrator stage again later: the sweep then begins anew"


def _is_whole(counters: StageCounters) -> bool:
    return counters.completeness is None or counters.completeness.is_whole


def _sweep_words(counters: StageCounters) -> str:
    sweep = counters.completeness
    words = "" if sweep is None else sweep.words()
    if sweep is not None and not sweep.is_whole:
        words = f"{sweep.why_not_whole()}: the list is not whole. Next: {_INCOMPLETE}"
    return f"\n{words}" if words else ""


def _sweep_details(counters: StageCounters) -> dict[str, Any]:
    details: dict[str, Any] = {"odd_rows": counters.odd_examples}
    if (sweep := counters.completeness) is not None:
        details |= {
            "met": sweep.met,
            "counted": sweep.counted,
            "not_counted": sweep.why_not or None,
        }
    if not _is_whole(counters):
        message = _sweep_words(counters).strip().partition(" Next: ")[0]
        details |= {"message": message, "next": _INCOMPLETE}
    return details


def _odd_words(odd: int, examples: Sequence[str]) -> str:
    """A line about rows without a usable id, and the first of them; "" = there are none."""
    if not odd:
        return ""
    more = ", …" if odd > len(examples) else ""
    return f"\n{count_noun(odd, 'row')} without a usable id: {', '.join(examples)}{more}"


def push(args: argparse.Namespace, display: Display) -> int:
    """Send every mapped contact, at most once."""
    require_ledger(args)

    def body(session: CommandRun) -> CommandResult:
        if not args.resume:
            _refuse_after_an_unfinished_push(session)
        outage = OutageBudget(args.retry_for * 60)
        destination = _destination(session, args, outage)
        progress = PushCounters()

        def notice(now: PushCounters) -> None:
            nonlocal progress
            progress = now
            session.watch(vars(now))

        try:
            progress = send(
                session.ledger,
                destination.leadgenius,
                RateLimiter(_pace(args.rate, session.ledger)),
                _options(args, destination),
                run_id=session.run_id,
                signals=session.signals,
                notice=notice,
                outage=outage,
            )
        except StoppedEarly as error:
            # The same command would be refused now: a push that stopped is resumed.
            error.hint = error.hint.replace("run the same command again", "migrator push --resume")
            raise
        except Interrupted as error:
            doubts = session.ledger.counts.in_doubt()
            raise Interrupted(
                f"Interrupted: {_pushed(progress)}, {doubts:,} in doubt.",
                "migrator push --resume",
                error.exit_code - 128,
            ) from None
        code = ExitCode.NEEDS_ATTENTION if progress.left_for_a_person else ExitCode.DONE
        return CommandResult(_pushed(progress), progress.counters(), code)

    return work(args, display, ["leadgenius"], body)


def _options(args: argparse.Namespace, destination: preflight.BoundDestination) -> PushOptions:
    return PushOptions(
        portal_id=destination.portal_id,
        client_id=destination.client_id,
        limit=args.limit,
        workers=args.workers,
        settle_seconds=args.settle,
        canary=args.canary,
        max_in_doubt=args.max_in_doubt,
    )


def _refuse_after_an_unfinished_push(session: CommandRun) -> None:
    journey = session.ledger.runs
    doubts = session.ledger.counts.in_doubt()
    was_pushed, code = journey.last_exit_code("push", before=session.run_id)
    # One that never came as far as to be bound to a client has left nothing to resume.
    was_pushed = was_pushed and journey.binding().client_id is not None
    if doubts or (was_pushed and code in UNFINISHED):
        raise UnfinishedPush(
            f"An earlier push did not end by itself; {doubts:,} contacts are in doubt.",
            "migrator push --resume",
        )


def _pushed(progress: PushCounters) -> str:
    parts = [f"{progress.posted + progress.found:,} posted"]
    for number, words in (
        (progress.adopted, "adopted, they were there already"),
        (progress.found, "of them in doubt for a while, and found"),
        (progress.absent, "times in doubt, and not found"),
        (progress.refused, "refused"),
        (progress.gave_up, "given up"),
    ):
        if number:
            parts.append(f"{number:,} {words}")
    if progress.are_alike:
        parts.append("the last of them refused in the same words: it may be the account")
    return " · ".join(parts)


def verify(args: argparse.Namespace, display: Display) -> int:
    """Compare every posted contact with what LeadGenius shows."""
    require_ledger(args)

    def body(session: CommandRun) -> CommandResult:
        destination = _destination(session, args, OutageBudget(args.retry_for * 60))
        result = compare(
            session.ledger,
            destination.leadgenius,
            client_id=destination.client_id,
            portal_id=destination.portal_id,
            settle_seconds=args.settle,
            pause=session.signals.pause,
            notice=session.watch,
            note=session.note,
        )
        code = ExitCode.NEEDS_ATTENTION if result.left_for_a_person else ExitCode.DONE
        details = {
            "doubled_contacts": [vars(one) for one in result.doubled_contacts],
            "unclaimed_leads": [vars(one) for one in result.unclaimed_leads],
            "blocked_leads": [vars(one) for one in result.blocked_leads],
            "unknown_leads": [vars(one) for one in result.unknown_leads],
            "not_compared": list(result.not_compared),
            "odd_rows": list(result.odd_examples),
        }
        return CommandResult("\n".join(_compared(result)), result.counters(), code, details)

    return work(args, display, ["leadgenius"], body)


def _compared(result: VerifyResult) -> Iterator[str]:
    """The result of a verification for people: the numbers, then the names that go with them."""
    parts = [
        f"{result.verified:,} verified · {result.missing:,} missing · "
        f"{result.different:,} different · {result.doubled:,} doubled · "
        f"{result.strangers:,} leads of others"
    ]
    for number, what, words in (
        (result.edited, "contact", "edited at LeadGenius since being verified"),
        (result.unclaimed, "lead", "of contacts that have none in this ledger"),
        (result.blocked, "lead", "of such contacts that no push can take over as it is"),
        (result.unknown, "lead", "of contacts that this ledger does not know"),
        (result.removed, "lead", "marked as deleted or as a duplicate"),
        (result.in_doubt, "lead", "of contacts in doubt: migrator push --resume"),
    ):
        if number:
            parts.append(f"{count_noun(number, what)} {words}")
    yield " · ".join(parts)
    yield from _named(
        f"contact {one.hubspot_id} has several leads: {one.lead_ids}; keep {one.keep}"
        for one in result.doubled_contacts
    )
    yield from _named(
        f"lead {one.lead_id} is contact {one.hubspot_id}'s, which is {one.held or one.state} here; "
        "the next push takes it over"
        for one in result.unclaimed_leads
    )
    yield from _named(map(_blocked, result.blocked_leads))
    yield from _named(
        f"lead {one.lead_id} names contact {one.hubspot_id}, which this ledger does not know"
        for one in result.unknown_leads
    )
    if result.odd:
        yield _odd_words(result.odd, result.odd_examples).strip()
    if result.unreadable and result.missing:
        yield f"{count_noun(result.unreadable, 'row')} of them may be leads that are missing"
    if result.not_compared:
        yield f"not compared, because no lead is listed with it: {', '.join(result.not_compared)}"


def _blocked(one: UnclaimedLead) -> str:
    """Why no push takes a lead over, and what to do about it."""
    whose = f"contact {one.hubspot_id}'s, which is {one.held or one.state} here"
    if not one.is_certain:
        return (
            f"lead {one.lead_id} may be {whose}: it has its e-mail, and the listing shows no "
            "notes; look there whether they name the contact"
        )
    first = "correct its e-mail in HubSpot, then " if one.held is not None else ""
    return f"lead {one.lead_id} is {whose}; {first}migrator stage, and the next push takes it over"


def _named(lines: Iterable[str]) -> Iterator[str]:
    """The first lines; services chose the ids in them."""
    shown = list(islice(lines, NAMED_ON_THE_SCREEN + 1))
    yield from map(one_line, shown[:NAMED_ON_THE_SCREEN])
    if len(shown) > NAMED_ON_THE_SCREEN:
        yield "and more like these: migrator verify --json"


def _destination(
    session: CommandRun, args: argparse.Namespace, outage: OutageBudget
) -> preflight.BoundDestination:
    leadgenius, _ = preflight.open_leadgenius(
        session.settings,
        session.pausing("LeadGenius", outage),
        args.timeout,
        outage=outage,
    )
    return preflight.bind_destination(session.ledger, session.settings, leadgenius)


def _pace(rate: str | float, ledger: Ledger) -> RateState:
    if isinstance(rate, float):
        return RateState.fixed(rate)
    return RateState.unlimited() if rate == "max" else RateState.automatic(ledger.runs.pace())


def retry(args: argparse.Namespace, display: Display) -> int:
    """Free contacts that wait for a person."""
    from migrator.report import find_contacts, why_not_released

    if not args.contacts and args.reason is None:
        raise UsageError(
            "Which contacts to free?", "migrator retry --reason refused, or: migrator retry CONTACT"
        )

    require_ledger(args)

    def body(session: CommandRun) -> CommandResult:
        reason = Hold(args.reason) if args.reason else None
        holds = session.ledger.holds
        if args.contacts:
            with session.ledger.transaction():
                keys = [
                    key for named in args.contacts for key in find_contacts(session.ledger, named)
                ]
                released = holds.release_named(keys, reason, recreate=args.recreate)
        else:
            released = holds.release_all(Hold(args.reason), recreate=args.recreate)
        stayed = [(one.now.hubspot_id, why_not_released(reason, one)) for one in released.stayed]
        following = _next(session.ledger)
        if following:
            session.display.say(f"next: {following}")
        details = {
            "meant": released.meant,
            "stayed": [{"contact": contact, "why": why} for contact, why in stayed],
            "next": following or None,
        }
        return CommandResult(
            _released(released, stayed), {"freed": released.freed}, details=details
        )

    return work(args, display, [], body)


def _released(released: Released, stayed: Sequence[tuple[str, str]]) -> str:
    lines = [f"{count_noun(released.freed, 'contact')} freed"]
    if staying := released.meant - released.freed:
        lines[0] += f" of {released.meant:,}"
        lines += [one_line(f"{contact} stays: {why}") for contact, why in stayed]
        if (more := staying - len(stayed)) > 0:
            lines.append(f"and {more:,} more stay")
    return "\n".join(lines)


def _next(ledger: Ledger) -> str:
    """What comes after this command, which is still at work."""
    from migrator.report import gather, next_command

    return next_command(replace(gather(ledger), running=None))
