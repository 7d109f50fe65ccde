"""
The small control interface over HTTP, for judges in other processes.

Owns its paths and their JSON; it can do no more than a test in this process may.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from migrator.sandbox.messages import Answer, Call, reply

if TYPE_CHECKING:
    from migrator.sandbox.sandbox import Sandbox

CONTROL = "/_sandbox/"


def control(sandbox: "Sandbox", call: Call) -> Answer:
    """Answer a call to one of the control paths."""
    match call.method, call.path.removeprefix(CONTROL):
        case "GET", "verdict":
            return reply(sandbox.verdict().as_json())
        case "GET", "record":
            received = [asdict(received) for received in sandbox.received]
            return reply({"received": received, "held": sandbox.held})
        case "POST", "fault":
            return _arm(sandbox, call.json())
        case "POST", "calm":
            sandbox.calm()
            return reply({"calm": True})
    return reply({"error": "verdict, record, fault or calm"}, 404)


def _arm(sandbox: "Sandbox", body: Any) -> Answer:
    try:
        sandbox.fault(str(body["name"]), int(body.get("times", 1)))
    except (ValueError, KeyError, TypeError) as error:
        return reply({"error": str(error)}, 400)
    return reply({"armed": body["name"]})
