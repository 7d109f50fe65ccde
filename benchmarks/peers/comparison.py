"""
The peers beside the product: by their rates at zero latency, and by what kills leave behind.

Owns how they are compared. Each is given the same stand-in, the same contacts and the same kills,
and the stand-in's judge counts what became of them.
"""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.cases import Bench
from benchmarks.end_to_end import PUSH, RESUME
from benchmarks.measuring import Cost, Failed, Running
from benchmarks.peers.environments import Unavailable
from benchmarks.peers.registry import SENDING, STAGING, Peer
from benchmarks.table import markdown, number
from benchmarks.workspace import Stand

WORKERS = 16
KILLS = 10
_LOOK_EVERY_SECONDS = 0.02
_HEADS = "with|contacts|wall|contacts a second|CPU s/1,000|peak MB"
_HEADS_OF_KILLS = "with|contacts|kills|sends|lost|there more than once"

Line = tuple[str, Callable[[], list[str]]]


def compared(bench: Bench) -> tuple[str, dict[str, Any]]:
    """The tables as Markdown, and their lines."""
    told = {
        "staged": _gathered(bench, _HEADS, _staging(bench)),
        "sent": _gathered(bench, _HEADS, _sending(bench)),
        "killed": _gathered(bench, _HEADS_OF_KILLS, _killing(bench)),
    }
    parts = [
        "Staging contacts with their companies:",
        markdown(told["staged"]),
        f"Sending at zero latency, with {WORKERS} workers where there are any:",
        markdown(told["sent"]),
        f"Killed by SIGKILL {KILLS} times at random moments, and started again until it was done:",
        markdown(told["killed"]),
    ]
    return "\n".join(parts), told


def _gathered(bench: Bench, heads: str, lines: Iterator[Line]) -> list[list[str]]:
    """A line for each; what is not to be had says so in its place."""
    gathered = [heads.split("|")]
    for name, measure in lines:
        bench.tell(f"peers: {name}")
        try:
            gathered.append(measure())
        except (Unavailable, Failed) as error:
            last = str(error).splitlines()[-1][:200]
            gathered.append([name, f"left out: {last}", *[""] * (len(gathered[0]) - 2)])
    return gathered


def _staging(bench: Bench) -> Iterator[Line]:
    yield "migrator", partial(_staged, bench, None)
    for peer in STAGING:
        yield peer.name, partial(_staged, bench, peer)


def _staged(bench: Bench, peer: Peer | None) -> list[str]:
    contacts = bench.size.peers
    with Stand(contacts) as stand:
        place = bench.place("peer", stand)
        cost = place.migrator("stage -q") if peer is None else peer.start(place, "").ended()
        pages = stand.ask("traffic")["paths"].get("GET /crm/v3/objects/contacts", 0)
    if pages < contacts / 100:
        raise Failed(f"it asked for {pages:,} pages only")
    return _rate("migrator, with mapping" if peer is None else peer.called(), contacts, cost)


def _sending(bench: Bench) -> Iterator[Line]:
    contacts = bench.size.peers
    yield "migrator", partial(_sent, bench, contacts, None)
    for peer in SENDING:
        yield peer.name, partial(_sent, bench, int(contacts * peer.share), peer)


def _sent(bench: Bench, contacts: int, peer: Peer | None) -> list[str]:
    bodies, sends = bench.bodies(contacts)
    with Stand(contacts) as stand:
        place = bench.place("peer", stand)
        if peer is None:
            place.take_ledger(bench.staged(contacts))
            return _rate("migrator", sends, place.migrator(PUSH))
        *before, sending = [peer.start(place, one).ended() for one in _words(peer, bodies)]
        if (made := stand.ask("sends")["sends"]) != sends:
            raise Failed(f"it sent {made:,} of {sends:,}")
    seconds = sum(cost.seconds for cost in before)
    prepared = f", after {seconds:.0f} s of enqueuing" if before else ""
    return _rate(peer.called() + prepared, sends, sending)


def _killing(bench: Bench) -> Iterator[Line]:
    contacts = bench.size.peers_killed
    yield "migrator, killed", partial(_killed, bench, contacts, None)
    for peer in SENDING:
        yield (
            f"{peer.name}, killed",
            partial(_killed, bench, int(contacts * peer.killed_share), peer),
        )


def _killed(bench: Bench, contacts: int, peer: Peer | None) -> list[str]:
    bodies, sends = bench.bodies(contacts)
    with Stand(contacts) as stand:
        place = bench.place("peer", stand)
        if peer is None:
            place.take_ledger(bench.staged(contacts))
            kills = _play(stand, sends, lambda again: place.start(RESUME if again else PUSH))
        else:
            *before, words = _words(peer, bodies)
            for preparation in before:
                peer.start(place, preparation).ended()
            kills = _play(stand, sends, lambda again: peer.start(place, words))
        verdict = stand.ask("verdict")
        made = stand.ask("sends")["sends"]
    name = "migrator" if peer is None else peer.called()
    counts = (sends, kills, made, verdict["lost"], verdict["duplicated"])
    return [name, *(f"{count:,}" for count in counts)]


def _play(stand: Stand, sends: int, start: Callable[[bool], Running]) -> int:
    """Kill it after some sends, start it again, and at last let it end; how often it was killed."""
    dice = random.Random(sends)
    kills = 0
    for _ in range(KILLS):
        enough = _requests(stand) + dice.randrange(2 * sends // (KILLS + 2)) + 1
        running = start(kills > 0)
        while running.wait_for(_LOOK_EVERY_SECONDS):
            if _requests(stand) >= enough:
                running.kill()
        if running.wait().code >= 0:
            return kills  # it was done before its time had come
        kills += 1
    start(True).ended()
    return kills


def _requests(stand: Stand) -> int:
    return int(stand.ask("requests")["requests"])


def _words(peer: Peer, bodies: Path) -> list[str]:
    return [words.format(bodies=bodies, workers=WORKERS) for words in peer.words]


def _rate(name: str, contacts: int, cost: Cost) -> list[str]:
    return [
        name,
        f"{contacts:,}",
        f"{cost.seconds:.1f} s",
        number(contacts / cost.seconds),
        number(1000 * cost.cpu_seconds / contacts),
        number(cost.peak_mb),
    ]
