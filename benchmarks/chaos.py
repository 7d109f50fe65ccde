"""
The schedule of a soak: which command comes next, and when and how it is ended by force.

What it decides hangs on the seed and the number of the round alone, as far as it can. It must never
look away: every command's end is checked, and every contact must have come to rest at the end.
"""

import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.commands import BUSY, TERMINATED, Command, Operator
from benchmarks.fault_schedule import SETTLE_SECONDS, TIMEOUT_SECONDS, Meddler
from benchmarks.judge import Broken, reading
from migrator.sandbox import Sandbox

# A command that is to be killed does not live longer, whatever it was to be killed after; one that
# was spared lives a while longer.
LONGEST_SECONDS = 5.0
LONGEST_SPARED_SECONDS = 15.0
LONGEST_CALM_SECONDS = 600.0
PATIENCE_SECONDS = 15.0

# Shares of commands.
SPARED = 0.06
BY_SIGTERM = 0.15
PAUSED = 0.05
IN_PAIRS = 0.06
WATCHED = 0.06
RESTARTED = 0.03

# How long each command may well take, to spread kills over all its life.
EXPECTED_SECONDS = {"stage": 4.0, "push": 4.5, "verify": 2.5, "update": 4.0, "retry": 1.0}
# How often each command comes: without people who edit, and with them.
SHARES = {"push": 84, "verify": 10, "retry": 6}
SHARES_WITH_EDITS = {"push": 40, "stage": 14, "update": 30, "verify": 10, "retry": 6}
OPTIONS = f"--timeout {TIMEOUT_SECONDS} --settle {SETTLE_SECONDS}"
RELEASED = ("refused", "gave_up")
# Requests for these are looks.
PAGES = ("/leads", "/contacts")
# What nobody can free, nor should: the guide excludes them, or they were there before.
EXCLUDED = ("no_email", "invalid_email", "duplicate_email", "already_in_destination")
# What only a person can decide, where people edit.
FOR_PEOPLE = ("conflict", "different", "gone")


@dataclass(frozen=True)
class Doom:
    """
    When and how a command is to end.

    Args:
        leads: After so many more leads were saved or updates arrived.
        reads: After so many pages were asked for.
        seconds: So long after both.
        way: "KILL", "TERM" or "" for one that is spared.
        pause: Seconds for which it stands still, a moment before.
        patience: Seconds until a second SIGTERM.
    """

    leads: int
    reads: int
    seconds: float
    way: str
    pause: float
    outage: float

    @classmethod
    def draw(cls, dice: random.Random, verb: str) -> "Doom":
        """Moments of start-up, of sends, of looks, and any other."""
        leads, reads, seconds = dice.choices(
            (
                (0, 0, dice.uniform(0.0, 0.8)),
                (dice.randint(1, 10), 0, dice.uniform(0.0, 0.03)),
                (0, dice.randint(1, 3), dice.uniform(0.0, 0.6)),
                (0, 0, dice.uniform(0.0, EXPECTED_SECONDS[verb])),
            ),
            (28, 35 if verb in ("push", "update") else 0, 20, 20),
        )[0]
        way = "TERM" if dice.random() < BY_SIGTERM else "KILL"
        pause = dice.uniform(0.2, 3.0) if dice.random() < PAUSED else 0.0
        outage = dice.uniform(0.0, 0.3) if dice.random() < 0.2 else PATIENCE_SECONDS
        return cls(leads, reads, seconds, "" if dice.random() < SPARED else way, pause, outage)


class Chaos:
    """The rounds of a soak, and how often what befell whom."""

    def __init__(
        self,
        operator: Operator,
        sandbox: Sandbox,
        seed: int,
        contacts: int,
        *,
        is_edited: bool = False,
    ) -> None:
        self._is_edited = is_edited
        self._operator = operator
        self._sandbox = sandbox
        self._seed = seed
        self._most_added = max(20, contacts // 10)
        self._meddler = Meddler(sandbox)
        self._is_staged = False
        self._round = 0
        self.ends: Counter[str] = Counter()
        self.verbs: Counter[str] = Counter()

    @property
    def kills(self) -> int:
        """Commands that were ended by force so far."""
        return self.ends["KILL"] + self.ends["TERM"]

    def begin(self) -> None:
        """
        Make a credentials file, so that its tokens are shared and written again and again.

        Where people edit, a portal is staged at first: what they do is no news before.
        """
        self._operator.run("auth", LONGEST_CALM_SECONDS)
        while self._is_edited and not self._is_staged:
            self._is_staged = self._operator.run("stage", LONGEST_CALM_SECONDS) == 0

    def play(self) -> None:
        """
        One round: a command or two, and what befalls them.

        Raises:
            Broken: a command misbehaved.
        """
        self._round += 1
        dice = random.Random(f"{self._seed}/{self._round}")
        if dice.random() < 0.1:
            self._meddler.change_limit(dice)
        if self._is_staged and (dice.random() < 0.01 or self._unsent() < 20):
            self._change_portal(dice)
        restart = self._meddler.restart_soon(dice) if dice.random() < RESTARTED else None
        self.ends["restart"] += restart is not None
        is_watched = self._is_staged and dice.random() < WATCHED
        report = self._operator.start("report --json") if is_watched else None
        self._play(dice, self._words(dice))
        if report is not None:
            report.wait(LONGEST_SPARED_SECONDS)
            self._operator.end(report)
        if restart is not None:
            restart.join()

    def _play(self, dice: random.Random, words: str) -> None:
        if words.startswith("push") and dice.random() < IN_PAIRS:
            self._pair(dice, words)
        else:
            self._doom(dice, self._operator.start(words))

    def _words(self, dice: random.Random) -> str:
        """The next command."""
        if not self._is_staged:
            return "stage"
        shares = SHARES_WITH_EDITS if self._is_edited else SHARES
        match dice.choices(list(shares), list(shares.values()))[0]:
            case "verify":
                return f"verify {OPTIONS}"
            case "retry":
                return f"retry --reason {dice.choice(RELEASED)}"
            case "stage":
                return "stage"
            case "update":
                kept = "--prefer leadgenius" if dice.random() < 0.1 else ""
                return f"update --yes {OPTIONS} --workers {dice.choice((1, 4, 8))} {kept}"
        words = [
            *(["--resume"] if dice.random() < 0.9 else []),
            f"--workers {dice.choice((1, 4, 8, 16))}",
            f"--rate {dice.choice(('max', 'max', 'auto', '900'))}",
            f"--canary {dice.choice((0, 3))}",
            f"--max-in-doubt {dice.choice((10, 50))}",
            *([f"--limit {dice.randint(1, 40)}"] if dice.random() < 0.4 else []),
        ]
        return " ".join(["push", OPTIONS, *words])

    # HubSpot's users

    def _change_portal(self, dice: random.Random) -> None:
        """Contacts come and change."""
        unsent = self.ask(
            "SELECT hubspot_id FROM contact WHERE state IN ('extracted', 'mapped') AND NOT EXISTS "
            "(SELECT 1 FROM attempt WHERE contact_key = key AND outcome IS NULL) ORDER BY key"
        )
        some = dice.sample(unsent, min(len(unsent), 10))
        self._meddler.change_contacts(dice, [hubspot_id for (hubspot_id,) in some])
        self._meddler.add_contacts(dice, dice.randint(20, self._most_added))
        self._is_staged = self._is_edited  # then `stage` comes in its turn

    def _unsent(self) -> int:
        free = "SELECT count(*) FROM contact WHERE state = 'mapped' AND held IS NULL"
        return int(self.ask(free)[0][0])

    # Ends

    def _doom(self, dice: random.Random, command: Command) -> int:
        """Let a command live until its time has come, and end it; its exit code."""
        doom = Doom.draw(dice, command.verb)
        if doom.way:
            command.wait(LONGEST_SECONDS, self._is_due(doom, command))
            command.wait(doom.seconds)
        else:
            command.wait(LONGEST_SPARED_SECONDS)
        if doom.pause and command.is_alive:
            self.ends["pause"] += 1
            command.pause(doom.pause)
            command.wait(dice.uniform(0.0, 1.0))
        if command.is_alive:
            self._end_by_force(command, doom)
        return self._ended(command)

    def _is_due(self, doom: Doom, command: Command) -> Callable[[], bool]:
        def is_due() -> bool:
            since = self._operator.since(command)
            leads = sum(one.lead_id is not None or one.method == "PUT" for one in since)
            reads = sum(one.path.endswith(PAGES) and one.method == "GET" for one in since)
            return leads >= doom.leads and reads >= doom.reads

        return is_due

    def _end_by_force(self, command: Command, doom: Doom) -> None:
        if doom.way == "TERM":
            self.ends["second signal"] += command.terminate(doom.outage)
        else:
            command.kill()

    def _ended(self, command: Command) -> int:
        """Look at how a command ended, and count what it was that ended it."""
        code = self._operator.end(command)
        by_force = {-signal.SIGKILL: "KILL", **dict.fromkeys(TERMINATED, "TERM")}.get(code)
        if by_force is not None:
            self.ends[by_force] += 1
            self.verbs[command.verb] += 1
        if (command.verb, code) == ("stage", 0):
            self._is_staged = True
        return code

    def _pair(self, dice: random.Random, words: str) -> None:
        """Two pushers at once: one works, the other one must leave."""
        first = self._operator.start(words)
        first.wait(dice.uniform(0.0, 0.3))
        second = self._operator.start(words)
        if dice.random() < 0.3:
            # The first one dies at any moment; the second one may come in time to take over.
            first.wait(dice.uniform(0.0, 1.5))
            first.kill()
        first.wait(PATIENCE_SECONDS, lambda: not second.is_alive)
        loser, winner = (first, second) if second.is_alive else (second, first)
        loser.allowed.add(BUSY)
        if self._ended(loser) == BUSY:
            self.ends["pair"] += 1
        else:
            winner.allowed.add(BUSY)
        self.ends["pair"] += self._doom(dice, winner) == BUSY

    # The end of it all

    def end(self) -> None:
        """
        Nothing goes wrong any more; everything must close now.

        Raises:
            Broken: it does not.
        """
        self._sandbox.calm()
        self._sandbox.change_rate_limit(None)
        for words in self._last_commands():
            self._run_in_peace(words)
        self._check_rest()
        if self._is_edited:
            before = self._updates()
            self._run_in_peace(f"update --yes {OPTIONS}")
            if (more := self._updates() - before) > 0:
                raise Broken(f"the last update sends {more} once more")

    def _last_commands(self) -> Iterator[str]:
        """Each follows from what the ones before have done."""
        push = f"push --resume --rate max {OPTIONS}"
        if not self._is_staged or self._is_edited:
            yield "stage"
        yield from (f"retry --reason {reason}" for reason in self._reasons_held())
        yield push
        if self._is_edited:
            # One whose send was in doubt when it changed is mapped once that came to nothing.
            yield from ("stage", push, f"update --yes --rate max {OPTIONS}")
        yield from (f"verify {OPTIONS}", "report")

    def _run_in_peace(self, words: str) -> None:
        good = {0, 1} if self._is_edited and words.startswith(("update", "verify")) else {0}
        if (code := self._operator.run(words, LONGEST_CALM_SECONDS)) not in good:
            raise Broken(f"`{words}` ended with {code} although nothing went wrong")

    def _updates(self) -> int:
        return sum(one.method == "PUT" for one in self._sandbox.received)

    def _reasons_held(self) -> list[str]:
        held = {reason for (reason,) in self.ask("SELECT DISTINCT held FROM contact")}
        return [reason for reason in RELEASED if reason in held]

    def _check_rest(self) -> None:
        holds = (*EXCLUDED, *(FOR_PEOPLE if self._is_edited else ()))
        excluded = ", ".join(f"'{hold}'" for hold in holds)
        left = self.ask(
            "SELECT hubspot_id, state, held FROM contact WHERE "
            f"held NOT IN ({excluded}) OR (held IS NULL AND state <> 'verified')"
        )
        if left:
            raise Broken(f"{len(left)} contacts are left: {left[:5]}")
        both = self.ask(
            "SELECT one.id, other.id FROM run AS one JOIN run AS other ON other.id > one.id "
            "AND other.began_ms < one.ended_ms"
        )
        if both:
            raise Broken(f"at work at the same time: {both[:5]}")

    def ask(self, sql: str) -> list[Any]:
        """What the ledger says, read as anybody could."""
        with reading(self._operator.ledger) as ledger:
            return ledger.execute(sql).fetchall()
