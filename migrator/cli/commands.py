"""What each command does: settings in, the verb called, its result printed."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from migrator import preflight
from migrator.config import AuthFile, Secret, Settings, load
from migrator.console import Talk
from migrator.errors import (
    UNFINISHED,
    ExitCode,
    Interrupted,
    LedgerError,
    MigratorError,
    NotReady,
    UnfinishedPush,
    UsageError,
)
from migrator.interruption import Interruption
from migrator.ledger import Ledger
from migrator.pacing import Pace, Pacer
from migrator.push import Options, Progress, push
from migrator.stage import stage
from migrator.states import Hold
from migrator.verify import verify


@dataclass(frozen=True)
class Done:
    """What a command that works on the ledger did: a line for people, numbers for machines."""

    summary: str
    counters: Mapping[str, int]
    exit_code: ExitCode = ExitCode.DONE
    details: Mapping[str, Any] = field(default_factory=dict)  # more for machines


@dataclass
class Session:
    """A command at work on the ledger."""

    settings: Settings
    ledger: Ledger
    run_id: int
    interruption: Interruption
    talk: Talk
    counters: dict[str, int] = field(default_factory=dict)

    def watch(self, verb: str, progress: Mapping[str, Any]) -> None:
        """Remember what was done so far, and show it."""
        self.counters = {name: value for name, value in progress.items() if type(value) is int}
        self.talk.show(verb, progress)


def run(args: argparse.Namespace, talk: Talk) -> int:
    """
    Run the command that was parsed.

    Returns:
        The exit code.

    Raises:
        MigratorError: it failed in a way that has words.
    """
    handlers: Mapping[str, Callable[[argparse.Namespace, Talk], int]] = {
        "auth": _auth,
        "clients": _clients,
        "stage": _stage,
        "push": _push,
        "verify": _verify,
        "report": _report,
        "retry": _retry,
        "sandbox": _sandbox,
        "demo": _demo,
    }
    return handlers[args.command](args, talk)


def _settings(args: argparse.Namespace, needs: Collection[str] = ()) -> Settings:
    options = {
        "ledger": getattr(args, "ledger", None),
        "client_id": getattr(args, "client_id", None),
    }
    return load(options, os.environ, Path.cwd(), needs)


def _work(
    args: argparse.Namespace,
    talk: Talk,
    needs: Collection[str],
    body: Callable[[Session], Done],
) -> int:
    """Lock the ledger, keep a record of the run, do the work, print what came of it."""
    settings = _settings(args, needs)
    interruption = Interruption()
    interruption.listen()
    with Ledger.at_work(settings.ledger) as ledger:
        run_id = ledger.journey.begin_run(args.command)
        session = Session(settings, ledger, run_id, interruption, talk)
        try:
            with talk:
                done = body(session)
        except BaseException as error:
            code = error.exit_code if isinstance(error, MigratorError) else ExitCode.BUG
            # A ledger that cannot be written cannot keep this either; the first error counts.
            with suppress(LedgerError):
                ledger.journey.end_run(run_id, code, session.counters)
            raise
        ledger.journey.end_run(run_id, done.exit_code, done.counters)
    if getattr(args, "json", False):
        print(json.dumps({**done.counters, **done.details}))
    else:
        print(done.summary)
    return done.exit_code


# The journey


def _stage(args: argparse.Namespace, talk: Talk) -> int:
    def body(session: Session) -> Done:
        hubspot = preflight.open_hubspot(session.settings, session.interruption.pause)
        portal_id = preflight.bind_source(session.ledger, hubspot)
        counters = stage(
            session.ledger,
            hubspot,
            portal_id=portal_id,
            check=session.interruption.check,
            notice=lambda progress: session.watch("stage", progress),
        )
        held = sum(one.contacts for one in session.ledger.figures.sums() if one.held)
        return Done(
            f"{counters.given:,} contacts read · {counters.new:,} new · {counters.changed:,} "
            f"changed · {counters.mapped:,} mapped · {held:,} held",
            vars(counters),
        )

    return _work(args, talk, ["hubspot"], body)


def _push(args: argparse.Namespace, talk: Talk) -> int:
    _require_ledger(args)

    def body(session: Session) -> Done:
        if not args.resume:
            _refuse_after_an_unfinished_push(session)
        destination = _destination(session, args)
        options = Options(
            portal_id=destination.portal_id,
            client_id=destination.client_id,
            limit=args.limit,
            workers=args.workers,
            settle_seconds=args.settle,
            canary=args.canary,
            max_in_doubt=args.max_in_doubt,
        )
        progress = Progress()

        def notice(now: Progress) -> None:
            nonlocal progress
            progress = now
            session.watch("push", vars(now))

        try:
            progress = push(
                session.ledger,
                destination.leadgenius,
                Pacer(_pace(args.rate)),
                options,
                run_id=session.run_id,
                interruption=session.interruption,
                notice=notice,
            )
        except Interrupted as error:
            doubts = session.ledger.figures.in_doubt()
            raise Interrupted(
                f"Interrupted: {_pushed(progress)}, {doubts:,} in doubt.",
                "migrator push --resume",
                error.exit_code - 128,
            ) from None
        code = ExitCode.LEFT_FOR_A_PERSON if progress.left_for_a_person else ExitCode.DONE
        return Done(_pushed(progress), progress.counters(), code)

    return _work(args, talk, ["leadgenius"], body)


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
    return " · ".join(parts)


def _verify(args: argparse.Namespace, talk: Talk) -> int:
    _require_ledger(args)

    def body(session: Session) -> Done:
        destination = _destination(session, args)
        result = verify(
            session.ledger,
            destination.leadgenius,
            client_id=destination.client_id,
            portal_id=destination.portal_id,
            settle_seconds=args.settle,
            pause=session.interruption.pause,
            notice=lambda progress: session.watch("verify", progress),
        )
        doubled = [
            f"\ncontact {double.hubspot_id} has several leads: {double.lead_ids}"
            for double in result.doubled
        ]
        code = ExitCode.LEFT_FOR_A_PERSON if result.left_for_a_person else ExitCode.DONE
        return Done(
            f"{result.verified:,} verified · {result.missing:,} missing · "
            f"{result.different:,} different · {len(result.doubled):,} doubled · "
            f"{result.strangers:,} leads of others{''.join(doubled)}",
            result.counters(),
            code,
            {"doubled_contacts": [vars(double) for double in result.doubled]},
        )

    return _work(args, talk, ["leadgenius"], body)


def _destination(session: Session, args: argparse.Namespace) -> preflight.Destination:
    leadgenius, _ = preflight.open_leadgenius(
        session.settings, session.interruption.pause, args.timeout
    )
    return preflight.bind_destination(session.ledger, session.settings, leadgenius)


def _pace(rate: str | float) -> Pace:
    if isinstance(rate, float):
        return Pace.fixed(rate)
    return Pace.unlimited() if rate == "max" else Pace.automatic()


# People


def _report(args: argparse.Namespace, talk: Talk) -> int:
    from migrator.report import as_json, gather, render

    with Ledger.for_reading(_settings(args).ledger) as ledger:
        report = gather(ledger)
    if args.json:
        print(json.dumps(as_json(report), indent=2, ensure_ascii=False))
    else:
        render(report)
    if not report.closes:
        raise LedgerError(
            "The sums do not close: the ledger's contacts are not those that HubSpot gave.",
            "keep the file as it is, and report this",
        )
    return ExitCode.DONE


def _retry(args: argparse.Namespace, talk: Talk) -> int:
    if not args.contacts and args.reason is None:
        raise UsageError(
            "Which contacts to free?", "migrator retry --reason refused, or: migrator retry CONTACT"
        )

    _require_ledger(args)

    def body(session: Session) -> Done:
        reason = Hold(args.reason) if args.reason else None
        freed = session.ledger.contacts.release(reason, args.contacts or None)
        return Done(f"{freed:,} contacts freed", {"freed": freed})

    return _work(args, talk, [], body)


def _require_ledger(args: argparse.Namespace) -> None:
    """Only `stage` makes one; elsewhere a name that is not there is a slip."""
    with Ledger.for_reading(_settings(args).ledger):
        pass


def _auth(args: argparse.Namespace, talk: Talk) -> int:
    settings = _settings(args)
    _refuse_another_host(settings)
    if not (settings.leadgenius_email and settings.leadgenius_password):
        settings = _ask_login(settings)
    _, tokens = preflight.open_leadgenius(settings, timeout_seconds=args.timeout, keep_login=True)
    tokens.log_in()
    print(f"{settings.leadgenius_email} is logged in; the token is in {settings.auth_file}")
    return ExitCode.DONE


def _refuse_another_host(settings: Settings) -> None:
    """A login to a sandbox must not take the place of the real one."""
    base_url = AuthFile(settings.auth_file).read().get("base_url")
    if base_url is not None and base_url.rstrip("/") != settings.leadgenius_url:
        raise NotReady(
            f"{settings.auth_file} holds a login for {base_url}, "
            f"not for {settings.leadgenius_url}.",
            "set LEADGENIUS_AUTH_FILE to a file of its own, or unset LEADGENIUS_BASE_URL",
        )


def _ask_login(settings: Settings) -> Settings:
    if not sys.stdin.isatty():
        raise NotReady(
            "There is no terminal to ask for the login on.",
            "set LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD",
        )
    print(f"LeadGenius at {settings.leadgenius_url}", file=sys.stderr)
    try:
        email = settings.leadgenius_email or input("e-mail: ").strip()
        password = Secret(getpass.getpass("password: "))
    except EOFError:
        raise NotReady("No login was given.", "migrator auth") from None
    return replace(settings, leadgenius_email=email, leadgenius_password=password)


def _clients(args: argparse.Namespace, talk: Talk) -> int:
    leadgenius, _ = preflight.open_leadgenius(_settings(args, ["leadgenius"]))
    if args.create is not None:
        description = args.description or "Contacts imported from HubSpot"
        clients = [leadgenius.create_client(args.create, description)]
    else:
        clients = leadgenius.clients()
    if args.json:
        print(json.dumps([{"client_id": one.client_id, "name": one.name} for one in clients]))
    else:
        for client in clients:
            print(f"{client.client_id}  {client.name}")
    return ExitCode.DONE


# The sandbox


def _sandbox(args: argparse.Namespace, talk: Talk) -> int:
    from migrator import sandbox

    if "list" in dict(args.misfortune):
        print("\n".join(sorted(sandbox.MISFORTUNES)))
        return ExitCode.DONE
    try:
        return sandbox.run(
            {
                "port": args.port,
                "contacts": args.contacts,
                "seed": args.seed,
                "misfortunes": dict(args.misfortune),
                "rate_limit": args.rate_limit,
                "latency_seconds": args.latency,
                "read_lag_seconds": args.read_lag,
                "token_seconds": args.token_seconds,
            },
            sys.stdout,
        )
    except ValueError as error:
        raise UsageError(f"The sandbox cannot start: {error}.", "migrator sandbox --help") from None
    except OSError as error:
        raise UsageError(
            f"The sandbox cannot listen on port {args.port}: {error.strerror}.",
            "leave --port out, and it takes a free one",
        ) from None


def _demo(args: argparse.Namespace, talk: Talk) -> int:
    from migrator.demo import demo

    return ExitCode.DONE if demo(args.contacts, args.seed, sys.stdout) else ExitCode.BUG
