"""
The loop over the children of a fleet.

One thread does all of it: it starts children (the kernel ties `--die-with-parent` to the thread
that forks), reads what they print, answers what they ask about their pace, and looks at the time.
It keeps nothing on disk: what is done is in the ledgers, so a fleet that was stopped or killed is
run again, and each journey resumes.
"""

import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from migrator.errors import ExitCode, MigratorError, NotReady, StoppedEarly, worst
from migrator.fleet.child import ChildProcess
from migrator.fleet.definition import FleetJourney
from migrator.fleet.environment import environment_of
from migrator.fleet.schedule import exit_code_of, retry_delay_minutes
from migrator.fleet.shared_pace import LoginPace
from migrator.fleet.status import JourneyStatus, Phase
from migrator.signals import Signals
from migrator.text import one_line

# Of the waits between two tries; tests have shorter ones.
MINUTE_SECONDS = 60.0
# How often the time, the signals and the ends of children are looked at.
_LOOK_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class FleetOrder:
    """
    What to run for one journey.

    Args:
        words: The command line after `migrator`.
        ledger: Where its ledger is or will be.
        sends: Whether the command sends leads, at the pace of its login.
    """

    words: Sequence[str]
    ledger: Path
    sends: bool


class Supervisor:
    """
    Runs the children of a fleet until all are done.

    Args:
        orders: What to run for each journey, by its name.
        environ: The environment of this process.
        at_once: The number of children that run at the same time.
        retry_for_minutes: How long a journey that can go on later is tried again.
        on_change: Called when the phase of a journey has changed.
        on_look: Called now and then, at most every tenth of a second while nothing happens.
        result: The line to print on stdout if a second signal ends it; see `Signals`.
    """

    def __init__(
        self,
        statuses: Sequence[JourneyStatus],
        orders: Mapping[str, FleetOrder],
        environ: Mapping[str, str],
        *,
        at_once: int,
        retry_for_minutes: float,
        on_change: Callable[[JourneyStatus], None],
        on_look: Callable[[], None] = lambda: None,
        result: Callable[[int, Mapping[str, str]], str] | None = None,
    ) -> None:
        self._statuses = statuses
        self._orders = orders
        self._environ = environ
        self._at_once = at_once
        self._retry_for_minutes = retry_for_minutes
        self._on_change = on_change
        self._on_look = on_look
        self._children: dict[str, ChildProcess] = {}
        self._failures: dict[str, list[float]] = {}  # when its tries in a row ended, by journey
        self._selector = selectors.DefaultSelector()
        logins = [one.journey.login for one in statuses]
        # One that is alone with its login keeps its own pace, and needs no answers.
        self._paces = {login: LoginPace() for login in logins if logins.count(login) > 1}
        next_step = "run the same command again; each journey resumes"
        self.signals = Signals(next_step, self._kill, result)

    def run(self) -> ExitCode:
        """
        Run until every journey is done, or until a signal has stopped all children.

        Returns:
            The worst code of all journeys; of one that a signal kept from being started or tried
            again, that of the signal.
        """
        self.signals.listen()
        is_told = False
        while any(one.phase is not Phase.ENDED for one in self._statuses):
            if self.signals.is_wanted and not is_told:
                is_told = True
                self._stop()
            if not is_told:
                self._start_due()
            for key, _ in self._selector.select(_LOOK_EVERY_SECONDS):
                key.data()
            for one in self._statuses:
                self._look_after(one)
            self._on_look()
        self._selector.close()
        stopped = self.signals.number
        codes = [exit_code_of(one.code) for one in self._statuses if one.code is not None]
        return worst([*codes, *([ExitCode(128 + stopped)] if stopped else [])])

    def _start_due(self) -> None:
        for one in self._statuses:
            if len(self._children) >= self._at_once:
                return
            is_due = one.retry_at is not None and one.retry_at <= time.monotonic()
            if one.phase is Phase.WAITING or (one.phase is Phase.RETRYING and is_due):
                self._start(one)

    def _start(self, one: JourneyStatus) -> None:
        journey, order = one.journey, self._orders[one.journey.name]
        pace = self._paces.get(journey.login) if order.sends else None
        one.began, one.ended = time.time(), None
        try:
            environment = environment_of(journey, self._environ)
            paced = pace is not None
            child = ChildProcess(order.words, journey.folder, environment, is_paced=paced)
        except (MigratorError, OSError, ValueError) as error:
            failure = _not_started(journey, error)
            one.result = {"message": failure.message, "next": failure.hint}
            self._conclude(one, failure.exit_code)
            return
        self._children[journey.name] = child

        def listen() -> None:
            if child.read_stdout() and child.newest.get("event") == "progress":
                one.take_progress(child.newest)

        self._selector.register(child.stdout, selectors.EVENT_READ, listen)
        self._selector.register(child.stderr, selectors.EVENT_READ, child.read_stderr)
        if pace is not None and child.pace is not None:
            self._selector.register(
                child.pace, selectors.EVENT_READ, lambda: self._answer(child, pace)
            )
        one.tries += 1
        one.progress = {}
        one.phase, one.retry_at = Phase.RUNNING, None
        self._on_change(one)

    def _answer(self, child: ChildProcess, pace: LoginPace) -> None:
        questions = child.questions()
        if questions is None:
            self._selector.unregister(child.pace)  # type: ignore[arg-type]
            return
        for question in questions:
            if (answer := pace.answer(question, time.monotonic())) is not None:
                child.answer(answer)

    def _look_after(self, one: JourneyStatus) -> None:
        """Note the end of its child, and whether it is tried again."""
        child = self._children.get(one.journey.name)
        if child is None or (code := child.code) is None:
            return
        one.result, one.said = child.result()
        if code in (ExitCode.DONE, ExitCode.NEEDS_ATTENTION) and not child.has_answered:
            code = ExitCode.BUG  # Python's own 1, say of an installation that is being replaced
        for stream in (child.stdout, child.stderr, child.pace):
            if stream is not None and stream in self._selector.get_map():
                self._selector.unregister(stream)
        child.close()
        del self._children[one.journey.name]
        self._conclude(one, code)

    def _conclude(self, one: JourneyStatus, code: int) -> None:
        """Note how a try ended, and when the next one is."""
        one.code, one.ended = code, time.time()
        one.read_sums(self._orders[one.journey.name].ledger)
        delay = None if self.signals.is_wanted else self._delay_seconds(one.journey.name, code)
        one.phase = Phase.ENDED if delay is None else Phase.RETRYING
        one.retry_at = None if delay is None else time.monotonic() + delay
        self._on_change(one)

    def _delay_seconds(self, name: str, code: int) -> float | None:
        ends = self._failures.setdefault(name, [])
        ends.append(time.monotonic())
        since = (ends[-1] - ends[0]) / MINUTE_SECONDS
        delay = retry_delay_minutes(code, len(ends), since, self._retry_for_minutes)
        return None if delay is None else delay * MINUTE_SECONDS

    def _stop(self) -> None:
        """Hand the signal on, once to each child; start nothing any more."""
        for child in self._children.values():
            child.send_signal(self.signals.number or signal.SIGTERM)
        for one in self._statuses:
            if one.phase in (Phase.WAITING, Phase.RETRYING):
                one.phase, one.retry_at = Phase.ENDED, None
                self._on_change(one)

    def _kill(self) -> None:
        """Kill all children, which is safe: their ledgers are consistent after every commit."""
        for child in self._children.values():
            child.send_signal(signal.SIGKILL)


def _not_started(journey: FleetJourney, error: Exception) -> MigratorError:
    """Why no process was started; where this machine was short of something, it may be later."""
    if isinstance(error, MigratorError):
        return error
    folder = one_line(str(journey.folder))
    if not isinstance(error, OSError):
        return NotReady(
            f"No process can be started in {folder}: {error}.",
            "correct the journey's options, mapping and client_id, or the locale (LANG=C.UTF-8)",
        )
    kind = StoppedEarly if journey.folder.is_dir() else NotReady
    return kind(
        f"No process can be started in {folder}: {error.strerror}.",
        "check the folder, and the limit of processes (ulimit -u)",
    )
