"""
A deterministic world for the real commands: services, network, disk and clock.

The commands, their clients, the classification of answers, the ledger file and the sandbox are
real. Sockets, threads and time are replaced: an exchange takes time on the clock of a `Crew`, and
the process can die at each of its effects, with its disk as it was at that moment. The promise is
checked whenever a lead departs, against the ledger file and the leads in the sandbox.
"""

import hashlib
import json
import random
import shutil
import sqlite3
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.engine import Engine

from benchmarks.judge import Broken, contact_of, reading
from migrator import connections
from migrator.config import load
from migrator.counters import PushCounters, StageCounters, UndoCounters, UpdateCounters
from migrator.errors import Interrupted, LedgerElsewhere, MigratorError
from migrator.http import OutageBudget, Response
from migrator.http.transport import NeverSent, ResponseLost
from migrator.journey.place import PlaceRecord
from migrator.journey.sender import Sender
from migrator.ledger import Ledger
from migrator.push import PushOptions, push
from migrator.rate_limit import RateLimiter, RateState
from migrator.sandbox import Sandbox
from migrator.sandbox.messages import Answer, Call, ConnectionEnd
from migrator.stage import stage
from migrator.states import Hold
from migrator.undo import GoneContacts, KeptLead, UndoChoice, UndoScope, undo
from migrator.update import Preference, UpdateChoice, update
from migrator.verify import VerifyResult, verify
from tests import at_once
from tests.support.deterministic_threads import Crew, Killed, Latch, Mailbox, Pool, wait_for

# Every room of ours that asks what time it is.
CLOCKED = (
    *("push", "push.loop", "push.workers", "push.destination", "push.reader", "push.stops"),
    *("push.progress", "update.trial", "doubts", "http.client", "http.retries", "ledger.database"),
)
SETTLE = 2.0
TIMEOUT = 0.7
LATENCY = 0.05
# The last moment at which the promise has to hold is this long before `settle` is over.
MARGIN = 0.005
PAGE = 3
# A look is a minute old at most when a write leaves, and a write may arrive until `settle` is over.
LOOK = 60.0 + TIMEOUT + SETTLE
# The wall clock of the services, which nobody sets.
EPOCH = 1_760_000_000.0

# What a process does that the world can see: it can die before each of these, or while it waits.
EFFECTS = ("commit", "leaving", "departed", "received", "answered", "page")
# What a rough service does now and then without being told.
WEATHER = (
    "save_late",
    "error_after_saving",
    "drop_after_saving",
    "hang_after_saving",
    "truncated",
    "no_id",
    "error_without_saving",
    "drop_before_saving",
    "throttle",
    "expire_token",
    "refuse",
    "list_error",
    "list_drop",
    "short_page",
    "empty_page",
    "update:save_late",
    "update:error_after_saving",
    "update:drop_after_saving",
    "update:hang_before_saving",
    "update:throttle",
    "delete:save_late",
    "delete:error_after_saving",
    "delete:drop_after_saving",
    "delete:hang_before_saving",
    "delete:throttle",
    "delete:ignore",
)
# What a write is called in the ledger.
KINDS = {"POST": "create", "PUT": "update", "DELETE": "delete"}
# What can happen to a send on its way, besides what befalls it at the service.
ON_THE_WAY = ("unreachable", "vanishes", "stuck", "cut", "answer_lost")


@dataclass(frozen=True)
class Habits:
    """How this world's services and operator are."""

    seed: int = 1
    contacts: int = 6
    lag: float = 0.0
    late: float = 100.0  # as late as the promise allows
    workers: int = 3
    canary: int = 0
    max_in_doubt: int = 50
    rate_limit: int | None = None
    token_seconds: float = 3600.0
    cursor_name: str = "lastKey"
    weather: float = 0.0  # how likely each fault is
    outage: float = 0.0  # with a service that is away, in seconds
    keeps_bounds: bool = True  # False: a late save may come at any time
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True)
class TakeBack:
    """
    Whose leads an undo is to delete; as given, none of the others.

    Args:
        contact: This one only.
        run_id: Those of this run only.
        is_gone, is_doubled, allow_adopted: `--gone`, `--doubled`, `--adopted`.
    """

    contact: str | None = None
    run_id: int | None = None
    is_gone: bool = False
    is_doubled: bool = False
    allow_adopted: bool = False


@dataclass(eq=False)
class Flight:
    """A request on its way; nothing that it does at the service comes later than `deadline`."""

    call: Call
    deadline: float
    outcome: Response | ResponseLost | None = None
    is_decided: bool = False  # nothing more comes of it at the service


@dataclass
class Wish:
    """An `Interruption` that a test lets come."""

    crew: Crew
    is_wanted: bool = False

    def pause(self, seconds: float) -> None:
        self.check()
        self.crew.wait(lambda: self.is_wanted, self.crew.now + seconds)
        self.check()

    def check(self) -> None:
        if self.is_wanted:
            raise Interrupted("Interrupted.", "migrator push --resume", 2)

    def cut_off(self) -> AbstractContextManager[None]:
        """Threads of a world like this end with the process."""
        return nullcontext()


class Line:
    """The transport of an `HttpClient` in this world."""

    def __init__(self, world: "World", timeout_seconds: float) -> None:
        self._world = world
        self._timeout = min(timeout_seconds, TIMEOUT)

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        longest_bytes: int,
        may_leave: Callable[[], None] | None = None,
    ) -> Response:
        path = "/" + url.split("/", 3)[3]
        lower = {name.lower(): value for name, value in headers.items()}
        call = Call(0.0, method, path, dict(params or {}), lower, body or b"")
        return self._world.carry(call, self._timeout, may_leave or at_once)

    def close(self) -> None:
        pass


class World:
    """Both services, the network, one folder with a ledger, and who dies when."""

    def __init__(self, habits: Habits = Habits()) -> None:
        self.habits = habits
        self.crew = Crew()
        self.wall_offset = 0.0
        self.figures: Counter[str] = Counter()
        self.trouble: deque[str] = deque()  # for the next sends, on their way
        self.is_offline = False  # nothing leaves this machine
        self.wish = Wish(self.crew)
        self._armed: list[list[Any]] = []  # effect, how many more of it, what then
        self._flights: list[Flight] = []
        self._disk: dict[Path, bytes] = {}
        self._is_put_back = False  # since the last push
        self._is_lost = False  # and no push has looked for the contacts of the new one
        self._is_running = False
        self._prefers_hubspot = False
        self.overwriting: list[Call] = []  # what a person let overwrite what is there
        self.departures: list[tuple[Call, float]] = []  # of writes, in the time of the services
        self._taking_back: TakeBack | None = None
        self.came_back: dict[str, float] = {}  # when HubSpot had a contact again
        self._posted: dict[str, Call] = {}  # by the lead that it made
        self._witness: sqlite3.Connection | None = None  # reads the ledger's file as it is
        self.folder = Path(tempfile.mkdtemp(prefix="world-", dir=_memory()))
        self._patch = pytest.MonkeyPatch()
        try:
            self._replace_the_outside()
            self.sandbox = self._services()
        except BaseException:
            self.close()
            raise
        environ = {**self.sandbox.environment(), "HOME": str(self.folder)}
        self.settings = load({"ledger": str(self.ledger)}, environ, self.folder)

    @property
    def ledger(self) -> Path:
        return self.folder / "migrator.db"

    def _services(self) -> Sandbox:
        habits = self.habits
        return Sandbox(
            contacts=habits.contacts,
            seed=habits.seed,
            token_seconds=habits.token_seconds,
            rate_limit=habits.rate_limit,
            rate_window_seconds=3.0,
            read_lag_seconds=habits.lag,
            late_seconds=habits.late,
            slow_seconds=TIMEOUT / 2,
            cursor_name=habits.cursor_name,
            page_limit=PAGE,
            faults=dict.fromkeys(WEATHER, habits.weather),
            quirks=habits.quirks,
            look_seconds=LOOK,
        )

    def _replace_the_outside(self) -> None:
        crew, patch = self.crew, self._patch
        monotonic = lambda: crew.now  # noqa: E731
        theirs = SimpleNamespace(monotonic=monotonic, time=self.true_time)
        for room in ("lead_store", "limits", "auth", "leadgenius"):
            patch.setattr(f"migrator.sandbox.{room}.time", theirs)
        ours = SimpleNamespace(
            monotonic=monotonic,
            time=self.wall_time,
            time_ns=lambda: int(self.wall_time() * 1e9),
            sleep=crew.sleep,
            localtime=lambda seconds: (),
            strftime=lambda form, moment: "later",
        )
        for room in CLOCKED:
            patch.setattr(f"migrator.{room}.time", ours)
        patch.setattr("migrator.push.workers.awake_or_asleep", monotonic)
        patch.setattr("migrator.leadgenius.login.time", ours)
        patch.setattr("migrator.leadgenius.tokens.time", ours)
        patch.setattr(
            "migrator.leadgenius.tokens.threading", SimpleNamespace(Lock=partial(Latch, crew))
        )
        patch.setattr("migrator.undo.source.threading", SimpleNamespace(Lock=partial(Latch, crew)))
        patch.setattr("migrator.http.retries.random", random.Random(7))
        patch.setattr("migrator.push.looks.random", random.Random(7))
        awake = SimpleNamespace(monotonic=monotonic, clock_gettime=lambda clock: crew.now)
        patch.setattr("migrator.clock.time", awake)
        patch.setattr(
            "migrator.http.client.Transport",
            lambda timeout, use_environment: Line(self, timeout),
        )
        patch.setattr("migrator.push.reader.ThreadPoolExecutor", partial(Pool, crew))
        patch.setattr("migrator.push.workers.ThreadPoolExecutor", partial(Pool, crew))
        patch.setattr("migrator.push.workers.SimpleQueue", partial(Mailbox, crew))
        patch.setattr("migrator.stage.prefetch.ThreadPoolExecutor", partial(Pool, crew))
        patch.setattr("migrator.stage.prefetch.wait", partial(wait_for, crew))
        patch.setattr("migrator.hubspot.CONTACTS_PER_PAGE", PAGE)
        sqlalchemy.event.listen(Engine, "commit", self._committing)

    def close(self) -> None:
        self.crew.kill()
        self.crew.join()
        if sqlalchemy.event.contains(Engine, "commit", self._committing):
            sqlalchemy.event.remove(Engine, "commit", self._committing)
        self._patch.undo()
        shutil.rmtree(self.folder)

    # Time

    def true_time(self) -> float:
        return EPOCH + self.crew.now

    def wall_time(self) -> float:
        return self.true_time() + self.wall_offset

    # Effects

    def when(self, effect: str, count: int, act: Callable[[], None]) -> None:
        """Act at the `count`-th effect of a kind from now on."""
        self._armed.append([effect, count, act])

    def effect(self, name: str) -> None:
        if not self._is_running:
            return  # of a process that is gone
        for armed in [one for one in self._armed if one[0] == name]:
            armed[1] -= 1
            if armed[1] <= 0:
                self._armed.remove(armed)
                armed[2]()

    def die(self) -> None:
        """kill -9: the disk stays as it is now; what was sent goes on its way for a while."""
        if self.crew.is_dead:
            return
        self.figures["kills"] += 1
        self._disk = {one: one.read_bytes() for one in self._files()}
        self._hasten(self.crew.now)
        self.crew.kill()

    def interrupt(self) -> None:
        self.figures["interrupts"] += 1
        self.wish.is_wanted = True

    def calm(self) -> None:
        """Nothing goes wrong any more, but what is on its way goes on."""
        self._armed.clear()
        self.trouble.clear()
        self.sandbox.calm()

    def _committing(self, connection: Any) -> None:
        """A commit takes its time: before it is done the others go on, or the process dies."""
        self.effect("commit")
        self.crew.sleep(0)

    # The network

    def carry(self, call: Call, timeout: float, may_leave: Callable[[], None]) -> Response:
        """One exchange, as a thread of the process lives it."""
        self.effect("leaving")
        self.crew.check()
        is_send = is_write(call)
        if self._prefers_hubspot and call.method == "PUT":
            self.overwriting.append(call)
        if self.is_offline:
            self.crew.sleep(LATENCY)
            raise NeverSent("its name cannot be resolved")
        mishap = self.trouble.popleft() if is_send and self.trouble else None
        if mishap == "unreachable":
            self.crew.sleep(LATENCY)
            raise NeverSent("connection refused")
        may_leave()
        if is_send:
            self._departs(call)
            self.departures.append((call, self.true_time()))
            self.effect("write")
        if mishap == "cut":
            timeout = LATENCY / 2  # the connection breaks, and the service does not know
        flight = self._depart(call, timeout, mishap)
        self.effect("departed")
        self.crew.wait(lambda: flight.outcome is not None, self.crew.now + timeout)
        self.effect("answered" if is_send else "page")
        self.crew.check()
        if flight.outcome is None or mishap == "answer_lost":
            raise ResponseLost("no answer within the time-out")
        if isinstance(flight.outcome, ResponseLost):
            raise flight.outcome
        return flight.outcome

    def _depart(self, call: Call, timeout: float, mishap: str | None) -> Flight:
        flight = Flight(call, self._latest(self.crew.now + timeout))
        if mishap != "vanishes":
            takes = 1e9 if mishap in ("stuck", "cut") else self.crew.chance(3) * LATENCY / 2
            self._flights.append(flight)
            self._later(flight, takes, lambda: self._arrive(flight))
        return flight

    def _latest(self, over_at: float) -> float:
        """When the service must be done with a send that was over at this moment."""
        return over_at + SETTLE - self.habits.lag - MARGIN

    def _hasten(self, over_at: float) -> None:
        for flight in self._flights:
            flight.deadline = min(flight.deadline, self._latest(over_at))
        for event in self.crew.agenda:
            event.at = min(event.at, self._latest(over_at))

    def _later(self, flight: Flight, seconds: float, act: Callable[[], None]) -> None:
        moment = self.crew.now + seconds
        if self.habits.keeps_bounds:
            moment = min(moment, flight.deadline)
        self.crew.at(moment, act)

    def _arrive(self, flight: Flight) -> None:
        flight.call.at = self.true_time()
        answer = self.sandbox.receive(flight.call)
        self.figures["requests"] += 1
        if flight.call.fault:
            self.figures[flight.call.fault] += 1
        if is_write(flight.call):
            self.figures[f"{flight.call.method.lower()}s"] += 1
            if (lead_id := flight.call.lead_id) is not None:
                self._posted[lead_id] = flight.call
            self.effect("received")
        self._later(flight, answer.delay_seconds, lambda: self._answer(flight, answer))

    def _answer(self, flight: Flight, answer: Answer) -> None:
        if answer.later is not None:
            answer.later()
        flight.call.status = answer.status_sent
        self.sandbox.note(flight.call)
        flight.is_decided = True
        self._flights.remove(flight)
        if answer.ending is not ConnectionEnd.HANG:
            self.crew.at(self.crew.now + LATENCY / 2, lambda: self._deliver(flight, answer))

    def _deliver(self, flight: Flight, answer: Answer) -> None:
        if answer.ending is not ConnectionEnd.KEEP:
            flight.outcome = ResponseLost("the connection broke")
            return
        headers = {name.lower(): value for name, value in answer.headers}
        headers["date"] = formatdate(self.true_time(), usegmt=True)
        flight.outcome = Response(answer.status, headers, answer.body)

    # The promise, at the moment at which it could be broken

    def _departs(self, call: Call) -> None:
        try:
            self._must_be_announced(call)
            if self.habits.keeps_bounds:
                self._must_be_the_only_one(call)
        except BaseException as error:
            self.crew.fail(error)
            raise Killed from None

    def _must_be_announced(self, call: Call) -> None:
        lead, kind = written(call), KINDS[call.method]
        payload = call.body or lead["id"].encode()
        subject = contact_of(lead) if kind == "create" else lead["id"]
        with nullcontext(self._witness) if self._witness else reading(self.ledger) as ledger:
            announced = ledger.execute(
                "SELECT hubspot_id, ifnull(overrode, '{}') "
                "FROM attempt JOIN contact ON key = contact_key "
                f"WHERE {'hubspot_id' if kind == 'create' else 'attempt.lead_id'} = ? "
                "AND kind = ? AND payload_hash = ? AND outcome IS NULL "
                "AND (kind = 'delete' OR gone IS NULL)",
                (subject, kind, hashlib.sha256(payload).hexdigest()),
            ).fetchall()
        if len(announced) != 1:
            raise Broken(f"{subject} leaves, and no intent on the disk announces it, or it is gone")
        if kind == "delete":
            self._must_be_wanted(*announced[0])

    def _must_be_wanted(self, contact: str, overrode: str) -> None:
        """A lead is deleted only where a person wants it, and because of what they allowed."""
        wanted = self._taking_back
        if wanted is None or wanted.contact not in (None, contact):
            raise Broken(f"a lead of {contact} is deleted, and nobody wants it")
        allowed = {"adopted"} if wanted.allow_adopted else set()
        allowed |= {"doubled"} if wanted.is_doubled else set()
        if json.loads(overrode).keys() - allowed:
            raise Broken(f"a lead of {contact} is deleted by {overrode}, which nobody allowed")
        is_there = any(one.contact_id == contact for one in self.sandbox.expected())
        back_at = self.came_back.get(contact, -LOOK)
        if wanted.is_gone and is_there and self.crew.now - back_at >= LOOK:
            raise Broken(f"a lead of {contact} is deleted as gone, and HubSpot has the contact")

    @contextmanager
    def _witnessed(self) -> Iterator[None]:
        """One reader for all sends of a process: each of its own would read the schema anew."""
        with reading(self.ledger, any_thread=True) as self._witness:
            try:
                yield
            finally:
                self._witness = None

    def _must_be_the_only_one(self, call: Call) -> None:
        lead, is_create = written(call), call.method == "POST"
        for held in self.held if is_create else ():
            if is_rival(lead, held):
                raise Broken(f"a second lead is sent: {lead}, and there is {held}")
        for other in self._on_their_way(is_create=is_create):
            if is_rival(lead, other) if is_create else lead["id"] == other["id"]:
                raise Broken(f"a second {call.method} leaves while the first may land: {lead}")

    def _on_their_way(self, *, is_create: bool) -> Iterator[Mapping[str, Any]]:
        """What writes say that may still land."""
        for flight in self._flights:
            if is_write(flight.call) and (flight.call.method == "POST") is is_create:
                yield written(flight.call)

    def may_land(self) -> set[str]:
        """Contacts of which a send is still on its way."""
        return {contact_of(lead) for lead in self._on_their_way(is_create=True)}

    def rest(self) -> None:
        """Let time pass until nothing is on its way and everything saved is to be seen."""
        while self.crew.agenda:
            self.crew.pass_time(SETTLE)
        self.crew.pass_time(self.habits.lag + MARGIN)

    # What is at LeadGenius

    @property
    def held(self) -> list[dict[str, Any]]:
        """The leads in use: those that are not marked as deleted."""
        return [lead for lead in self.sandbox.held if "deletedAt" not in lead]

    def repeat_a_post(self, lead_id: str) -> None:
        """The network delivers a send once more, long after it was answered."""
        if (first := self._posted.get(lead_id)) is not None:
            again = Call(self.true_time(), first.method, first.path, {}, first.headers, first.body)
            again.status = self.sandbox.receive(again).status
            self.sandbox.note(again)

    # Processes

    def run(self, command: str, luck: int, body: Callable[[Ledger, int], Any]) -> Any:
        """
        One command in a process of its own.

        Returns:
            What it returns, or the `MigratorError` that it stopped with, or `None` if it was
            killed.
        """
        self.crew.shuffle(luck)
        self.wish.is_wanted = False
        self.figures["processes"] += 1
        self.figures[f"{command} runs"] += 1
        self._is_running = True
        result = None
        try:
            with Ledger.open_for_work(self.ledger) as ledger, self._witnessed():
                result = self._recorded(ledger, command, body)
        except Killed:
            result = None
        self.crew.join()
        self._is_running = False
        if self.crew.failure is not None:
            raise self.crew.failure
        if self.crew.is_dead:
            self._revive()
            return None
        return result

    def _recorded(self, ledger: Ledger, command: str, body: Callable[[Ledger, int], Any]) -> Any:
        """As `cli.work` keeps the record of a run."""
        run_id = ledger.runs.begin_run(command)
        try:
            result = body(ledger, run_id)
        except MigratorError as error:
            ledger.runs.end_run(run_id, error.exit_code, {})
            self.figures[type(error).__name__] += 1
            return error
        ledger.runs.end_run(run_id, 0, {})
        return result

    def _revive(self) -> None:
        """The next process finds the disk as it was when the last one died."""
        for path in self._files():
            if path not in self._disk:
                path.unlink()
        for path, content in self._disk.items():
            path.write_bytes(content)  # the very files: a death moves none
        self.crew.is_dead = False

    def is_current(self) -> bool:
        """Whether the ledger knows all that was sent: neither put back nor in debt of looks."""
        records = [*(self.settings.state_folder / "ledgers").glob("*")]
        found = [PlaceRecord(self.settings.state_folder, one.name).read() for one in records]
        is_known = not (self._is_put_back or self._is_lost)
        return is_known and not any(one and one.owes_looks for one in found)

    def _files(self) -> list[Path]:
        """The ledger's files and what the state folder holds."""
        state = self.settings.state_folder.rglob("*")
        return [*self.folder.glob("migrator.db*"), *(one for one in state if one.is_file())]

    def copy(self) -> dict[str, bytes]:
        """The ledger's files without the lock's, which does not travel."""
        files = self.folder.glob("migrator.db*")
        return {one.name: one.read_bytes() for one in files if one.suffix != ".lock"}

    def put_back(self, files: Mapping[str, bytes]) -> None:
        self._is_put_back = True
        self._is_lost = "migrator.db" not in files
        for one in self.folder.glob("migrator.db*"):
            if one.suffix != ".lock" or one.name in files:
                one.unlink()
        for name, content in files.items():
            (self.folder / name).write_bytes(content)

    # Verbs

    def stage(
        self, luck: int = 0, pages: int | None = None
    ) -> StageCounters | MigratorError | None:
        """Stage, interrupted after so many pages (`None` = to the end)."""
        seen = 0

        def check() -> None:
            nonlocal seen
            seen += 1
            if pages is not None and seen >= pages:
                self.wish.is_wanted = True
            self.wish.check()

        def body(ledger: Ledger, run_id: int) -> StageCounters:
            hubspot = connections.open_hubspot(self.settings, self.wish.pause)
            portal_id = connections.bind_source(ledger, hubspot)
            return stage(ledger, hubspot, portal_id=portal_id, check=check)

        result: StageCounters | MigratorError | None = self.run("stage", luck, body)
        return result

    def push(
        self, luck: int = 0, limit: int | None = None, per_minute: float | None = None
    ) -> PushCounters | MigratorError | None:
        """Push, or settle only (`limit=0`)."""

        def body(ledger: Ledger, run_id: int) -> PushCounters:
            outage = OutageBudget(self.habits.outage)
            to = self._destination(ledger, outage)
            options = self._options(to, limit, self.habits.canary)
            rate = RateState.fixed(per_minute) if per_minute else RateState.unlimited()
            with self._sender(ledger, to) as sender:
                return push(
                    ledger,
                    to.leadgenius,
                    RateLimiter(rate),
                    options,
                    run_id=run_id,
                    signals=self.wish,
                    outage=outage,
                    sender=sender,
                )

        result: PushCounters | MigratorError | None = self.run("push", luck, body)
        if isinstance(result, PushCounters):
            with reading(self.ledger) as ledger:
                self._is_lost &= not ledger.execute("SELECT count(*) FROM contact").fetchone()[0]
        return result

    def update(
        self,
        luck: int = 0,
        limit: int | None = None,
        prefer: Preference = Preference.ASK,
        per_minute: float | None = None,
    ) -> UpdateCounters | MigratorError | None:
        """Update."""

        def body(ledger: Ledger, run_id: int) -> UpdateCounters:
            outage = OutageBudget(self.habits.outage)
            to = self._destination(ledger, outage)
            options = self._options(to, limit)
            rate = RateState.fixed(per_minute) if per_minute else RateState.unlimited()
            with self._sender(ledger, to, is_update=True) as sender:
                return update(
                    ledger,
                    to.leadgenius,
                    RateLimiter(rate),
                    options,
                    UpdateChoice(prefer=prefer),
                    run_id=run_id,
                    signals=self.wish,
                    confirm=lambda plan: True,
                    outage=outage,
                    sender=sender,
                )

        self._prefers_hubspot = prefer is Preference.HUBSPOT
        result: UpdateCounters | MigratorError | None = self.run("update", luck, body)
        self._prefers_hubspot = False
        return result

    def undo(
        self, luck: int = 0, whose: TakeBack = TakeBack()
    ) -> tuple[UndoCounters, list[KeptLead]] | MigratorError | None:
        """Undo."""

        def body(ledger: Ledger, run_id: int) -> tuple[UndoCounters, list[KeptLead]]:
            outage = OutageBudget(self.habits.outage)
            to = self._destination(ledger, outage)
            options = self._options(to)
            keys = source = None
            if whose.contact is not None:
                keys = frozenset(ledger.lookup.find(whose.contact, lambda email: None))
            if whose.is_gone:
                hubspot = connections.open_hubspot(self.settings, self.wish.pause)
                source = GoneContacts(hubspot, to.portal_id)
            choice = UndoChoice(keys, whose.run_id, whose.is_gone)
            with self._sender(ledger, to, is_update=True) as sender:
                return undo(
                    ledger,
                    to.leadgenius,
                    RateLimiter(RateState.unlimited()),
                    options,
                    UndoScope(choice, whose.is_doubled, whose.allow_adopted, source),
                    run_id=run_id,
                    signals=self.wish,
                    confirm=lambda plan: True,
                    outage=outage,
                    sender=sender,
                )

        self._taking_back = whose
        result: tuple[UndoCounters, list[KeptLead]] | MigratorError | None
        result = self.run("undo", luck, body)
        self._taking_back = None
        return result

    def verify(self, luck: int = 0) -> VerifyResult | MigratorError | None:
        """Verify."""

        def body(ledger: Ledger, run_id: int) -> VerifyResult:
            to = self._destination(ledger)
            return verify(
                ledger,
                to.leadgenius,
                client_id=to.client_id,
                portal_id=to.portal_id,
                settle_seconds=SETTLE,
                pause=self.wish.pause,
            )

        result: VerifyResult | MigratorError | None = self.run("verify", luck, body)
        return result

    def retry(self, *reasons: Hold, recreate: bool = False) -> int | None:
        """Release."""

        def body(ledger: Ledger, run_id: int) -> int:
            return sum(ledger.holds.release(reason, None, recreate=recreate) for reason in reasons)

        result: int | None = self.run("retry", 0, body)
        return result

    def _options(
        self, to: connections.BoundDestination, limit: int | None = None, canary: int = 0
    ) -> PushOptions:
        return PushOptions(
            portal_id=to.portal_id,
            client_id=to.client_id,
            limit=limit,
            workers=self.habits.workers,
            settle_seconds=SETTLE,
            canary=canary,
            max_in_doubt=self.habits.max_in_doubt,
        )

    def _destination(
        self, ledger: Ledger, outage: OutageBudget | None = None
    ) -> connections.BoundDestination:
        leadgenius, _ = connections.open_leadgenius(
            self.settings, self.wish.pause, TIMEOUT, outage=outage
        )
        destination = connections.choose_destination(ledger, self.settings, leadgenius)
        connections.bind_destination(ledger, self.settings, destination)
        return destination

    @contextmanager
    def _sender(
        self, ledger: Ledger, to: connections.BoundDestination, *, is_update: bool = False
    ) -> Iterator[Sender]:
        """The right to send; what was put back is taken over, and a death needs no take-over."""
        hold = partial(connections.hold_sender, ledger, self.settings, to, "push")
        try:
            with hold(is_taken_over=self._is_put_back) as sender:
                # An update of a ledger that has sent nothing has no reason to look.
                self._is_put_back &= is_update
                yield sender
        except LedgerElsewhere:
            raise Broken("a ledger that nobody moved is a stranger to its place") from None


def is_write(call: Call) -> bool:
    """Whether it creates, changes or deletes a lead."""
    return call.path == "/api/leads" and call.method != "GET"


def written(call: Call) -> dict[str, Any]:
    """What a write says; a delete, only which lead."""
    lead: dict[str, Any] = json.loads(call.body) if call.body else {"id": call.query["id"]}
    return lead


def is_rival(lead: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two leads are of one contact, or of one person."""
    return contact_of(lead) == contact_of(other) or spelt(lead["email"]) == spelt(other["email"])


def spelt(email: str) -> str:
    """An e-mail, however it is spelt."""
    return email.strip().casefold()


@contextmanager
def world(habits: Habits = Habits()) -> Iterator[World]:
    one = World(habits)
    try:
        yield one
    finally:
        one.close()


def _memory() -> str | None:
    """A folder in memory, where there is one: no power fails here, so nothing must be synced."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
