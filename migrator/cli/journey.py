"""The verbs of the journey: settings in, the verb called, its result in a line."""

import argparse
from dataclasses import replace

from migrator import preflight
from migrator.cli.ineffective import without_effect
from migrator.cli.mapping import read_rules, refuse_unknown_properties
from migrator.cli.work import Done, Session, require_ledger, work
from migrator.console import Talk
from migrator.errors import (
    UNFINISHED,
    ExitCode,
    Interrupted,
    StoppedEarly,
    UnfinishedPush,
    UsageError,
)
from migrator.ledger import Ledger, Released
from migrator.pacing import Pace, Pacer, Patience
from migrator.printable import one_line, several
from migrator.push import Options, Progress
from migrator.push import push as send
from migrator.stage import stage as extract
from migrator.states import Hold
from migrator.verify import verify as compare


def stage(args: argparse.Namespace, talk: Talk) -> int:
    """Extract all contacts from HubSpot and map them."""
    rules = None if args.mapping is None else read_rules(args.mapping)

    def body(session: Session) -> Done:
        patience = Patience(args.patience * 60)
        hubspot = preflight.open_hubspot(
            session.settings, session.pausing("HubSpot", patience), patience=patience
        )
        portal_id = preflight.bind_source(session.ledger, hubspot)
        if rules is not None:
            refuse_unknown_properties(args.mapping, rules, hubspot, talk.say)
        counters = extract(
            session.ledger,
            hubspot,
            portal_id=portal_id,
            rules=rules,
            check=session.interruption.check,
            notice=session.watch,
            note=session.note,
        )
        figures = session.ledger.figures
        held = sum(one.contacts for one in figures.sums() if one.held)
        withdrawn = f"{counters.withdrawn:,} to be mapped anew · " if counters.withdrawn else ""
        return Done(
            f"{withdrawn}{counters.given:,} contacts read · {counters.new:,} new · "
            f"{counters.changed:,} changed · {figures.to_send():,} to be sent · {held:,} held"
            f"{without_effect(counters, session.talk)}",
            counters.numbers(),
        )

    return work(args, talk, ["hubspot"], body)


def push(args: argparse.Namespace, talk: Talk) -> int:
    """Send every mapped contact, at most once."""
    require_ledger(args)

    def body(session: Session) -> Done:
        if not args.resume:
            _refuse_after_an_unfinished_push(session)
        patience = Patience(args.patience * 60)
        destination = _destination(session, args, patience)
        progress = Progress()

        def notice(now: Progress) -> None:
            nonlocal progress
            progress = now
            session.watch(vars(now))

        try:
            progress = send(
                session.ledger,
                destination.leadgenius,
                Pacer(_pace(args.rate, session.ledger)),
                _options(args, destination),
                run_id=session.run_id,
                interruption=session.interruption,
                notice=notice,
                patience=patience,
            )
        except StoppedEarly as error:
            # The same command would be refused now: a push that stopped is resumed.
            error.hint = error.hint.replace("run the same command again", "migrator push --resume")
            raise
        except Interrupted as error:
            doubts = session.ledger.figures.in_doubt()
            raise Interrupted(
                f"Interrupted: {_pushed(progress)}, {doubts:,} in doubt.",
                "migrator push --resume",
                error.exit_code - 128,
            ) from None
        code = ExitCode.LEFT_FOR_A_PERSON if progress.left_for_a_person else ExitCode.DONE
        return Done(_pushed(progress), progress.counters(), code)

    return work(args, talk, ["leadgenius"], body)


def _options(args: argparse.Namespace, destination: preflight.Destination) -> Options:
    return Options(
        portal_id=destination.portal_id,
        client_id=destination.client_id,
        limit=args.limit,
        workers=args.workers,
        settle_seconds=args.settle,
        canary=args.canary,
        max_in_doubt=args.max_in_doubt,
    )


def _refuse_after_an_unfinished_push(session: Session) -> None:
    journey = session.ledger.journey
    doubts = session.ledger.figures.in_doubt()
    was_pushed, code = journey.last_exit_code("push", before=session.run_id)
    # One that never came as far as to be bound to a client has left nothing to resume.
    was_pushed = was_pushed and journey.binding().client_id is not None
    if doubts or (was_pushed and code in UNFINISHED):
        raise UnfinishedPush(
            f"An earlier push did not end by itself; {doubts:,} contacts are in doubt.",
            "migrator push --resume",
        )


def _pushed(progress: Progress) -> str:
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


def verify(args: argparse.Namespace, talk: Talk) -> int:
    """Compare every posted contact with what LeadGenius shows."""
    require_ledger(args)

    def body(session: Session) -> Done:
        destination = _destination(session, args, Patience(args.patience * 60))
        result = compare(
            session.ledger,
            destination.leadgenius,
            client_id=destination.client_id,
            portal_id=destination.portal_id,
            settle_seconds=args.settle,
            pause=session.interruption.pause,
            notice=session.watch,
            note=session.note,
        )
        doubled = [
            f"\ncontact {one_line(double.hubspot_id)} has several leads: "
            f"{one_line(double.lead_ids)}"
            for double in result.doubled
        ]
        in_doubt = ""
        if result.in_doubt:
            in_doubt = f" · {result.in_doubt:,} of contacts in doubt: migrator push --resume"
        code = ExitCode.LEFT_FOR_A_PERSON if result.left_for_a_person else ExitCode.DONE
        return Done(
            f"{result.verified:,} verified · {result.missing:,} missing · "
            f"{result.different:,} different · {len(result.doubled):,} doubled · "
            f"{result.strangers:,} leads of others{in_doubt}{''.join(doubled)}",
            result.counters(),
            code,
            {"doubled_contacts": [vars(double) for double in result.doubled]},
        )

    return work(args, talk, ["leadgenius"], body)


def _destination(
    session: Session, args: argparse.Namespace, patience: Patience
) -> preflight.Destination:
    leadgenius, _ = preflight.open_leadgenius(
        session.settings,
        session.pausing("LeadGenius", patience),
        args.timeout,
        patience=patience,
    )
    return preflight.bind_destination(session.ledger, session.settings, leadgenius)


def _pace(rate: str | float, ledger: Ledger) -> Pace:
    if isinstance(rate, float):
        return Pace.fixed(rate)
    return Pace.unlimited() if rate == "max" else Pace.automatic(ledger.journey.pace())


def retry(args: argparse.Namespace, talk: Talk) -> int:
    """Free contacts that wait for a person."""
    if not args.contacts and args.reason is None:
        raise UsageError(
            "Which contacts to free?", "migrator retry --reason refused, or: migrator retry CONTACT"
        )

    require_ledger(args)

    def body(session: Session) -> Done:
        reason = Hold(args.reason) if args.reason else None
        releasing = session.ledger.releasing
        if args.contacts:
            released = releasing.release_named(args.contacts, reason)
        else:
            released = releasing.release_all(Hold(args.reason))
        following = _next(session.ledger)
        if following:
            session.talk.say(f"next: {following}")
        details = {
            "meant": released.meant,
            "stayed": [{"contact": one.hubspot_id, "why": one.why} for one in released.stayed],
            "next": following or None,
        }
        return Done(_released(released), {"freed": released.freed}, details=details)

    return work(args, talk, [], body)


def _released(released: Released) -> str:
    lines = [f"{several(released.freed, 'contact')} freed"]
    if staying := released.meant - released.freed:
        lines[0] += f" of {released.meant:,}"
        lines += [one_line(f"{one.hubspot_id} stays: {one.why}") for one in released.stayed]
        if (more := staying - len(released.stayed)) > 0:
            lines.append(f"and {more:,} more stay")
    return "\n".join(lines)


def _next(ledger: Ledger) -> str:
    """What comes after this command, which is still at work."""
    from migrator.report import gather, next_command

    return next_command(replace(gather(ledger), running=None))
