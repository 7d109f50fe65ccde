"""
The stand-in in a process of its own, without limits, that answers questions about what it saw.

    python -m benchmarks.sandbox_process --contacts 100000 --latency 0.1 0.3

Its first line on stdout says how to reach it; then each line on stdin is a question, and the answer
is one line of JSON. It ends with its stdin. Whoever measures asks through `workplace.Stand`.
"""

import argparse
import gc
import json
import resource
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from migrator.sandbox import LoggedRequest, Sandbox

_NAMED_AT_MOST = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stdin ends."""
    args = _parser().parse_args(argv)
    # The book of a million requests has no cycles: to look through it for some takes seconds.
    gc.disable()
    with Sandbox(
        contacts=args.contacts,
        latency_seconds=tuple(args.latency) if any(args.latency) else 0.0,
        rate_headers=False,
    ) as sandbox:
        _say({"url": sandbox.url, "environment": sandbox.environment()})
        for line in sys.stdin:
            question, *rest = line.split()
            _say(_QUESTIONS[question](sandbox, *rest))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sandbox_process")
    parser.add_argument("--contacts", type=int, default=1000)
    parser.add_argument("--latency", type=float, nargs=2, default=(0.0, 0.0))
    return parser


def _put_on_shelf(sandbox: Sandbox, path: str) -> dict[str, Any]:
    """Hold what a ledger says was sent, under the ids that it gives."""
    ledger = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = ledger.execute("SELECT lead_id, lead FROM contact WHERE lead_id IS NOT NULL")
    for lead_id, lead in rows:
        sandbox.give_lead_ids(lead_id)
        sandbox.add_lead(json.loads(lead))
    ledger.close()
    return {}


def _change(sandbox: Sandbox, count: str) -> dict[str, Any]:
    """Change contacts that can be sent, from places spread over the portal."""
    ids = [one.contact_id for one in sandbox.expected() if one.lead is not None]
    some = ids[:: max(1, len(ids) // int(count))][: int(count)]
    for number, contact_id in enumerate(some):
        sandbox.change_contact(contact_id, jobtitle=f"Chair {len(some)}/{number}")
    return {"sendable": len(some)}


def _lengthen(sandbox: Sandbox, count: str) -> dict[str, Any]:
    """Give contacts that can be sent, spread over the portal, a website that is too long."""
    ids = [one.contact_id for one in sandbox.expected() if one.lead is not None]
    some = ids[:: max(1, len(ids) // int(count))][: int(count)]
    for contact_id in some:
        sandbox.change_contact(contact_id, website="https://x.example/".ljust(2_100, "x"))
    return {"contacts": some}


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def _is_send(one: LoggedRequest) -> bool:
    return (one.method, one.path) == ("POST", "/api/leads")


def _traffic(sandbox: Sandbox, since: str = "0") -> dict[str, Any]:
    """How often each path was asked after so many requests, and how many answers were which."""
    received = sandbox.received[int(since) :]
    paths = Counter(f"{one.method} {one.path}" for one in received)
    statuses = Counter(str(one.status) for one in received)
    return {"paths": paths, "statuses": statuses}


def _sends(sandbox: Sandbox, warm_up: str = "0") -> dict[str, Any]:
    """How many sends came, and how many a second, without the first part of them."""
    moments = [one.at for one in sandbox.received if _is_send(one)]
    if len(moments) < 2:
        return {"sends": len(moments)}
    after = int(len(moments) * float(warm_up))
    rate = (len(moments) - 1 - after) / (moments[-1] - moments[after])
    return {"sends": len(moments), "per_second": rate}


def _first(sandbox: Sandbox, method: str, since: str) -> dict[str, Any]:
    """When leads were listed (GET) or sent (POST) first after so many requests; null = not yet."""
    wanted = (method, "/api/leads")
    received = sandbox.received[int(since) :]
    return {"at": next((one.at for one in received if (one.method, one.path) == wanted), None)}


def _requests(sandbox: Sandbox) -> dict[str, Any]:
    """How many there were so far; cheap enough to be asked all the time."""
    return {"requests": len(sandbox.received)}


def _verdict(sandbox: Sandbox) -> dict[str, Any]:
    """The judge's, with numbers instead of long lists."""
    told = sandbox.verdict().as_json()
    long = [name for name, value in told.items() if isinstance(value, list)]
    return {
        **{name: len(value) if name in long else value for name, value in told.items()},
        "named": {name: told[name][:_NAMED_AT_MOST] for name in long if told[name]},
    }


def _cost(sandbox: Sandbox) -> dict[str, Any]:
    """What the stand-in itself takes: beyond one core, it is what sets the pace."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}


_QUESTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "traffic": _traffic,
    "sends": _sends,
    "first": _first,
    "requests": _requests,
    "change": _change,
    "lengthen": _lengthen,
    "hold": _put_on_shelf,
    "verdict": _verdict,
    "cost": _cost,
}

if __name__ == "__main__":
    sys.exit(main())
