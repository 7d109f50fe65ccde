"""
The control interface: what other processes can ask and change, as JSON over HTTP.

`GET` `verdict`, `record` or `history`; `POST` `fault`, `calm` or one of `ACTIONS`, all under
`/_sandbox/`.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from migrator.sandbox.messages import Answer, Call, Lead, reply

if TYPE_CHECKING:
    from migrator.sandbox.sandbox import Sandbox

CONTROL = "/_sandbox/"

# Methods of `Sandbox`; the body of the request has their arguments by name.
ACTIONS = (
    *("add_lead", "change_lead", "append_note", "rewrite_note", "move_lead", "delete_lead"),
    *("restore_lead", "add_contact", "change_contact", "merge_contacts", "remove_contact"),
    *("erase_contact", "restore_contact", "merge_companies"),
)


def control(sandbox: "Sandbox", call: Call) -> Answer:
    """Answer a control request: 404 where nothing is called so or there is no such record."""
    name = call.path.removeprefix(CONTROL)
    match call.method, name:
        case "GET", "verdict":
            return reply(sandbox.verdict().as_json())
        case "GET", "record":
            received = [asdict(received) for received in sandbox.received]
            foreign = sandbox.foreign_writes
            return reply({"received": received, "held": sandbox.held, "foreign_writes": foreign})
        case "GET", "history":
            return reply({"history": [change.as_json() for change in sandbox.history]})
        case "POST", "calm":
            sandbox.calm()
            return reply({"calm": True})
        case "POST", "fault":
            return _answer(lambda body: _arm(sandbox, body), call)
    if call.method == "POST" and name in ACTIONS:
        return _answer(lambda body: getattr(sandbox, name)(**body), call)
    return reply({"error": f"verdict, record, history, fault, calm, {', '.join(ACTIONS)}"}, 404)


def _answer(act: Callable[[Any], object], call: Call) -> Answer:
    try:
        done = act(call.json())
    except KeyError as error:
        return reply({"error": str(error.args[0])}, 404)
    except (ValueError, TypeError) as error:
        return reply({"error": str(error)}, 400)
    return reply({"done": done}, 404 if done is False else 200)


def _arm(sandbox: "Sandbox", body: Any) -> str:
    if not isinstance(body, dict) or "name" not in body:
        raise ValueError("Required: name. Optional: times, where (fields and their values).")
    wanted = body.get("where")
    fits = None if wanted is None else lambda lead: _has(lead, wanted)
    sandbox.fault(str(body["name"]), int(body.get("times", 1)), fits)
    return str(body["name"])


def _has(lead: Lead, wanted: Lead) -> bool:
    return all(lead.get(name) == value for name, value in wanted.items())
