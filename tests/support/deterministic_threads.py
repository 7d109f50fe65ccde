"""
Threads that take turns, on a clock that only their waiting moves: concurrency without chance.

One hand works at a time; whoever waits passes the turn, and dice say to whom. Nobody ever sleeps:
when all wait, the clock goes to where the first of them wants it. `Pool`, `Mailbox` and `Latch`
stand in for the standard library's where the product's threads meet.
"""

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from queue import Empty
from types import SimpleNamespace
from typing import Any

# What one turn costs. Time must pass, or whoever polls would poll for ever.
TURN_SECONDS = 0.001
MOST_TURNS = 60_000


class Killed(BaseException):
    """The process is dead; this only unwinds what is left of it in memory."""


def _never() -> bool:
    return False


def _shut() -> threading.Lock:
    gate = threading.Lock()
    gate.acquire()
    return gate


@dataclass(eq=False)
class Hand:
    """One thread and what it waits for."""

    is_ready: Callable[[], bool] = _never
    until: float = inf
    is_over: bool = False
    gate: threading.Lock = field(default_factory=_shut)


@dataclass(eq=False)
class Event:
    """Something that happens at a moment whether the process lives or not."""

    at: float
    act: Callable[[], None]


class Crew:
    """All threads of a process, the clock, and what the world does meanwhile."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.is_dead = False
        self.failure: BaseException | None = None
        self.agenda: list[Event] = []
        self._dice = random.Random(0)
        self._main = self._running = Hand()
        self._hands = [self._main]
        self._turns = 0

    def shuffle(self, luck: int) -> None:
        """Let other dice fall from here on."""
        self._dice.seed(luck)
        self._turns = 0

    def chance(self, among: int) -> int:
        """A throw of the dice."""
        return self._dice.randrange(among)

    # The world

    def at(self, moment: float, act: Callable[[], None]) -> None:
        """Let something happen at a moment of this clock."""
        self.agenda.append(Event(moment, act))

    def pass_time(self, seconds: float) -> None:
        """Let time go by while no process runs."""
        until = self.now + seconds
        while (following := self._first_event()) and following.at <= until:
            self._happen(following)
        self.now = until

    def _first_event(self) -> Event | None:
        return min(self.agenda, key=lambda event: event.at, default=None)

    def _happen(self, event: Event) -> None:
        self.agenda.remove(event)
        self.now = max(self.now, event.at)
        try:
            event.act()
        except BaseException as error:  # it is the test's to judge, in its own thread
            self.fail(error)

    # The process

    def kill(self) -> None:
        """From now on whoever waits or wakes is dead."""
        self.is_dead = True

    def fail(self, error: BaseException) -> None:
        """The test has failed: end the process; the first failure counts."""
        self.failure = self.failure or error
        self.kill()

    def check(self) -> None:
        """Raises `Killed` when the process is dead."""
        if self.is_dead:
            raise Killed

    def wait(self, is_ready: Callable[[], bool] = _never, until: float = inf) -> None:
        """Let the others work until something is so, or until a moment."""
        self.check()
        self._pass_on(is_ready, until)
        self.check()

    def sleep(self, seconds: float) -> None:
        """As `time.sleep`, on this clock."""
        self.wait(until=self.now + seconds)

    def spawn(self, task: Callable[[], None]) -> Hand:
        """Let a new thread do a task, when its turn comes."""
        hand = Hand(until=self.now)
        self._hands.append(hand)
        threading.Thread(target=self._work, args=(hand, task), daemon=True).start()
        return hand

    def join(self, hands: list[Hand] | None = None) -> None:
        """Wait until these threads are over (`None` = all others), in death too."""
        awaited = [one for one in self._hands if one is not self._main] if hands is None else hands
        while not all(hand.is_over for hand in awaited):
            self._pass_on(lambda: all(hand.is_over for hand in awaited), inf)

    def _work(self, hand: Hand, task: Callable[[], None]) -> None:
        hand.gate.acquire()
        try:
            if not self.is_dead:
                task()
        except BaseException as error:  # the product's own tasks let nothing out
            if not isinstance(error, Killed):
                self.fail(error)
        hand.is_over = True
        self._hands.remove(hand)
        self._running = self._following()
        self._running.gate.release()

    def _pass_on(self, is_ready: Callable[[], bool], until: float) -> None:
        me = self._running
        me.is_ready, me.until = is_ready, until
        self.now += TURN_SECONDS
        following = self._following()
        if following is not me:
            self._running = following
            following.gate.release()
            me.gate.acquire()

    def _following(self) -> Hand:
        """Whose turn it is; the clock moves to where somebody's is."""
        while True:
            self._turns += 1
            if self._turns > MOST_TURNS and not self.is_dead:
                self.fail(AssertionError("it goes on for ever"))
            while (event := self._first_event()) and event.at <= self.now:
                self._happen(event)
            due = [one for one in self._hands if self._is_due(one)]
            if due:
                return due[self._dice.randrange(len(due))]
            moment = min(one.until for one in self._hands)
            moment = min(moment, event.at if event else inf)
            if moment == inf:
                self.fail(AssertionError("everybody waits for somebody else"))
            else:
                self.now = max(self.now, moment)

    def _is_due(self, hand: Hand) -> bool:
        return self.is_dead or hand.until <= self.now or hand.is_ready()


class Pool:
    """A `ThreadPoolExecutor` whose threads take turns."""

    def __init__(self, crew: Crew, max_workers: int, thread_name_prefix: str = "") -> None:
        self._crew = crew
        self._max_workers = max_workers
        self._hands: list[Hand] = []
        self._tasks: deque[Promise] = deque()
        self._busy = 0

    def submit(self, task: Callable[..., Any], *args: Any) -> "Promise":
        """Do it in a thread of its own, or in the first one that has nothing to do."""
        promise = Promise(self._crew, task, args)
        self._tasks.append(promise)
        if self._busy < self._max_workers:
            self._busy += 1
            self._hands.append(self._crew.spawn(self._work))
        return promise

    def _work(self) -> None:
        while self._tasks:
            self._tasks.popleft().keep()
            self._crew.check()
        self._busy -= 1

    def shutdown(self, wait: bool = True, cancel_futures: bool = False) -> None:
        """Wait for the threads to end."""
        if cancel_futures:
            self._tasks.clear()
        self._crew.join(self._hands)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()


class Promise:
    """The `Future` of a task."""

    def __init__(self, crew: Crew, task: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._crew, self._task, self._args = crew, task, args
        self._is_kept = False
        self._value: Any = None
        self._error: BaseException | None = None

    def keep(self) -> None:
        try:
            self._value = self._task(*self._args)
        except BaseException as error:  # it is raised where the result is asked for
            self._error = error
        self._is_kept = True

    def done(self) -> bool:
        return self._is_kept

    def exception(self) -> BaseException | None:
        self._crew.wait(lambda: self._is_kept)
        return self._error

    def result(self) -> Any:
        if (error := self.exception()) is not None:
            raise error
        return self._value


def wait_for(crew: Crew, promises: Sequence[Promise], seconds: float) -> Any:
    """As `concurrent.futures.wait`."""
    crew.wait(lambda: all(one.done() for one in promises), crew.now + seconds)
    return SimpleNamespace(done={one for one in promises if one.done()})


class Mailbox:
    """A `SimpleQueue`; waiting for what is not there lets the others work."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._items: deque[Any] = deque()

    def put(self, item: Any) -> None:
        self._items.append(item)

    def get(self, timeout: float) -> Any:
        self._crew.wait(lambda: bool(self._items), self._crew.now + timeout)
        return self.get_nowait()

    def get_nowait(self) -> Any:
        if not self._items:
            raise Empty
        return self._items.popleft()


class Latch:
    """A `Lock` that is waited for by turns."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._is_held = False

    def __enter__(self) -> None:
        while self._is_held:
            self._crew.wait(lambda: not self._is_held)
        self._is_held = True

    def __exit__(self, *error: object) -> None:
        self._is_held = False
