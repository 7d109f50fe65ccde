"""
A run that lasts a day, in accelerated form: what goes away meanwhile, and what must not grow.

Time is a world's own where hours are to pass; files, processes and terminals are real where they
are what is tested.
"""

from math import ceil

from benchmarks.judge import posts, reading
from migrator.pacing import ROUNDS_OF_BAD_LUCK
from migrator.push import Progress
from migrator.sandbox import Sandbox
from tests.simulation import LATENCY, Habits, World, world

HOUR = 3600.0
WORKERS = 3


def outcomes(one: World) -> dict[str | None, int]:
    with reading(one.ledger) as ledger:
        return dict(ledger.execute("SELECT outcome, count(*) FROM attempt GROUP BY 1"))


def logins(sandbox: Sandbox) -> int:
    return sum(one.path.startswith("/api/auth") for one in sandbox.received)


# A name that cannot be resolved for an hour


def test_an_hour_without_a_network_costs_a_push_nothing_but_the_hour():
    with world(Habits(contacts=12, workers=WORKERS, patience=2 * HOUR)) as one:

        def lose_the_network() -> None:
            one.is_offline = True
            one.crew.at(one.crew.now + HOUR, find_it_again)

        def find_it_again() -> None:
            one.is_offline = False

        one.stage()
        began = one.crew.now
        one.when("received", 4, lose_the_network)
        assert isinstance(one.push(), Progress)
        assert HOUR < one.crew.now - began < HOUR + 60
        there = outcomes(one)
        # Those that were in flight when it went away are found; nothing else was in doubt.
        assert there.pop("unsent") <= ROUNDS_OF_BAD_LUCK * WORKERS
        assert there.keys() <= {"created", "found"}
        assert len(posts(one.sandbox)) == sum(there.values())


# Tokens


def test_a_token_is_renewed_once_in_its_life_for_all_workers():
    life = 20 * LATENCY
    with world(Habits(contacts=120, workers=WORKERS, token_seconds=life)) as one:
        one.stage()
        began = one.crew.now
        assert isinstance(one.push(), Progress)
        assert outcomes(one).keys() == {"created"}
        # From three quarters of its life on, by whoever needs one next.
        took = one.crew.now - began
        assert took / life < logins(one.sandbox) <= ceil(took / (0.75 * life))
