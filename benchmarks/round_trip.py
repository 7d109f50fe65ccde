"""
One round trip through a sandbox: stage, push, update and undo, while both services change.

Owns what is in the portal, what people do, which commands follow each other, and what has to be so
after them by the sandbox's own record. `destinations` has the table of them.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrator.sandbox import Sandbox, SandboxVerdict
from tests.support.processes import Operator, ended

CONTACTS = 40
# What is believed of a destination that was not probed: that it is this quick.
SETTLE_SECONDS = 0.5
LONGEST_SECONDS = 300.0
_LATENCY_SECONDS = 0.02
_SENDING = (
    f"--yes --rate max --workers 4 --timeout 1 --settle {SETTLE_SECONDS} --retry-for 0 --json"
)
PUSH = f"push {_SENDING.removeprefix('--yes ')}"
UPDATE = f"update {_SENDING}"
UNDO = f"undo --all {_SENDING}"
VERIFY = f"verify --settle {SETTLE_SECONDS} --timeout 2 --retry-for 0 --json"
AUDIT = f"audit --settle {SETTLE_SECONDS}"
# A status line so long that notes of 500 characters do not hold it.
LONG = "spoke about the renewal of the contract, and about what it would have to bring · " * 7
# HubSpot changes these contacts, by number; "" empties.
_CHANGES: Mapping[int, Mapping[str, str]] = {
    0: {"jobtitle": "Countess"},
    1: {"jobtitle": ""},
    2: {"lifecyclestage": "customer"},
    3: {"email": "ada3@married.example"},
    4: {"phone": "+49 30 7654321"},
    5: {"hs_lead_status": f"{LONG}; and more"},
    6: {"jobtitle": "Countess"},
    7: {"lifecyclestage": "customer"},
    8: {"jobtitle": "Countess"},
}
# People edit the leads of these: three that HubSpot changes, too, elsewhere in the lead.
_NOTED, _EDITED, _QUALIFIED = (6, 10), (7, 11), (8, 12)
EDITED = frozenset((*_NOTED, *_EDITED, *_QUALIFIED))
# Somebody else's lead has the e-mail of this one.
TAKEN = 20
# What the sandbox's verdict must not have.
_NEVER = (
    "lost",
    "duplicated",
    "wrong",
    "strange",
    "overwritten",
    "reverted",
    "deleted_edited",
    "deleted_foreign",
    "changed_foreign",
    "blind_writes",
)
_LONGEST_LIST = 200
THEIRS = {"firstName": "Some", "lastName": "Stranger", "title": "Theirs"}


@dataclass(frozen=True)
class Destination:
    """
    A deployment of LeadGenius.

    Args:
        quirks: Of the sandbox, with blanks between them.
        lag, late: Seconds until what was saved is listed, and until what was given up is saved.
        rate_limit: Requests a minute that its headers tell; None = they tell none.
        not_reached: Fields whose changes cannot be carried over there.
        is_hidden: Whether its listing hides what `undo` has to see before it deletes.
        after_push: More commands between the push and the verification.
    """

    name: str
    quirks: str = ""
    lag: float = 0.0
    late: float = 0.0
    rate_limit: int | None = 100_000
    not_reached: frozenset[str] = frozenset()
    is_hidden: bool = False
    after_push: tuple[str, ...] = ()

    def sandbox(self) -> Sandbox:
        """A sandbox that behaves so; a write that it commits late is provoked by `save_late`."""
        sandbox = Sandbox(
            contacts=0,
            latency_seconds=_LATENCY_SECONDS,
            read_lag_seconds=self.lag,
            late_seconds=self.late,
            rate_limit=self.rate_limit,
            quirks=self.quirks.split(),
        )
        company = sandbox.add_company(name="Analytical Engines", domain="engines.example")
        for number in range(CONTACTS):
            sandbox.add_contact(_contact(number), [(company, "contact_to_company")], str(number))
        sandbox.add_contact({"firstname": "No", "lastname": "Mail"})
        sandbox.add_contact({**_contact(0), "firstname": "Twin"})
        for email in ("stranger@x.example", _contact(TAKEN)["email"]):
            sandbox.add_lead({**THEIRS, "email": email})
        return sandbox


@dataclass
class Trip:
    """
    What a round trip came to.

    Args:
        codes: The exit code of each command, in order.
        results: The JSON result of each that has one.
        faults: What is not as it has to be, a line each.
    """

    codes: dict[str, int] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def found(self) -> dict[str, Any]:
        """What the probe found; {} = there was none."""
        return self.results.get("probe", {})


def make(destination: Destination, folder: Path, *, is_probed: bool) -> Trip:
    """Make the round trip in a folder of its own."""
    with destination.sandbox() as sandbox:
        return _RoundTrip(destination, Operator(folder, sandbox), Trip()).make(is_probed=is_probed)


@dataclass
class _RoundTrip:
    _destination: Destination
    _operator: Operator
    _trip: Trip

    def make(self, *, is_probed: bool) -> Trip:
        sandbox = self._operator.sandbox
        if is_probed:
            wait = math.ceil(4 + 1.5 * max(self._destination.late, self._destination.lag))
            self._type("probe", f"probe --yes --json --timeout 5 --wait {wait}")
        self._type("stage", "stage --json")
        sandbox.fault("drop_after_saving")
        sandbox.fault("save_late", times=3)
        self._type("push", PUSH)
        for words in self._destination.after_push:
            self._type(words, PUSH if words == "push" else words)
        # What was given up has landed when it is looked at, however late it is.
        sandbox.wait_until(self._have_landed, self._destination.late + LONGEST_SECONDS)
        self._type("verify", VERIFY)
        self._people_and_hubspot_work()
        self._type("stage again", "stage --json")
        self._type("push again", f"{PUSH} --resume")
        sandbox.fault("update:drop_after_saving")
        self._type("update", UPDATE)
        self._type("verify again", VERIFY)
        written = self._writes()
        self._type("second update", UPDATE)
        self._require(self._writes() == written, "the second update sent something")
        self._type("audit", AUDIT)
        self._judge("after the update", sandbox.verdict())
        sandbox.fault("delete:drop_after_saving")
        self._type("undo", UNDO)
        self._judge("after the undo", sandbox.verdict())
        self._judge_undo()
        self._type("audit again", AUDIT)
        return self._trip

    def _type(self, name: str, words: str) -> None:
        done = ended(self._operator.start(words, XDG_STATE_HOME=self._state), LONGEST_SECONDS)
        name = name if name not in self._trip.codes else f"second {name}"
        self._trip.codes[name] = done.code
        self._require("Traceback" not in done.err, f"{name}: {done.err}")
        found = [line for line in done.out.splitlines() if '"kind": "fault"' in line]
        self._require(not found, f"{name}: {len(found)} faults: {''.join(found)[:_LONGEST_LIST]}")
        if "--json" in words and done.out:
            self._trip.results[name] = json.loads(done.out.splitlines()[-1])

    def _have_landed(self) -> bool:
        late = [one for one in self._operator.sandbox.received if one.fault == "save_late"]
        return all(one.lead_id for one in late)

    @property
    def _state(self) -> str:
        return str(self._operator.folder / "state")

    def _people_and_hubspot_work(self) -> None:
        sandbox = self._operator.sandbox
        for number in _NOTED:
            sandbox.append_note(self._lead_of(number), "Called on Monday")
        for number in _EDITED:
            sandbox.change_lead(self._lead_of(number), companyName="Babbage & Co")
        for number in _QUALIFIED:
            sandbox.change_lead(self._lead_of(number), status="qualified")
        for number, properties in _CHANGES.items():
            sandbox.change_contact(str(number), **properties)

    def _lead_of(self, number: int) -> str:
        """The lead of a contact; of several the first."""
        email = _contact(number)["email"]
        sandbox = self._operator.sandbox
        return next((str(one["id"]) for one in sandbox.leads() if one["email"] == email), "")

    def _writes(self) -> int:
        received = self._operator.sandbox.received
        return sum(one.method != "GET" and one.path == "/api/leads" for one in received)

    def _judge(self, when: str, verdict: SandboxVerdict) -> None:
        """Nothing is lost, doubled, wrong or strange, and no write did harm."""
        told = verdict.as_json()
        told["wrong"] = [
            one for one in verdict.wrong if one[1] not in self._destination.not_reached
        ]
        for key in _NEVER:
            some = json.dumps(told[key])[:_LONGEST_LIST]
            self._require(not told[key], f"{when}, {len(told[key])} {key}: {some}")

    def _judge_undo(self) -> None:
        """What people edited is there, nothing else of ours is, and what is others' is whole."""
        sandbox = self._operator.sandbox
        alive = [one for one in sandbox.leads() if not one.get("deletedAt")]
        theirs = [one for one in alive if "notes" not in one and one.get("title") == "Theirs"]
        self._require(len(theirs) == 2, f"of two leads of others, {len(theirs)} are as they were")
        ours = {str(one.get("email")) for one in alive if one not in theirs}
        due = {_contact(number)["email"] for number in EDITED}
        if not self._destination.is_hidden:  # else nothing may be deleted
            left, gone = sorted(ours - due), sorted(due - ours)
            self._require(not left, f"after the undo, {len(left)} left: {left[:3]}")
            self._require(not gone, f"after the undo, {len(gone)} deleted that were edited: {gone}")

    def _require(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            self._trip.faults.append(otherwise)


def _contact(number: int) -> dict[str, str]:
    return {
        "firstname": "Ada",
        "lastname": f"Hopper {number}",
        "email": f"ada{number}@x.example",
        "jobtitle": "Engineer",
        "phone": "+49 30 1234567",
        "lifecyclestage": "lead",
        "hs_lead_status": LONG if number in (2, 5) else "open",
    }


# What each result is compared by: the more there is, the worse it is.
_NOISE: Mapping[str, tuple[str, ...]] = {
    "verify": ("missing", "different", "doubled", "not_compared"),
    "update": ("conflicts", "not_cleared", "missing", "in_doubt"),
    "undo": ("kept",),
}


def worse(without: Trip, with_probe: Trip) -> Iterator[str]:
    """What went worse in one trip than in the other, a line each, such as `undo: kept 6 → 40`."""
    for name, code in without.codes.items():
        if code > with_probe.codes.get(name, 0):
            yield f"`{name}` ends with {code}, not {with_probe.codes.get(name, 0)}"
    for name, result in without.results.items():
        command = next((one for one in _NOISE if one in name), "")
        for key in _NOISE.get(command, ()):
            many, few = (_size(one.get(key)) for one in (result, with_probe.results.get(name, {})))
            if many > few:
                yield f"`{name}`: {key} {many}, not {few}"
    yield from without.faults


def _size(value: Any) -> int:
    return len(value) if isinstance(value, list) else int(value or 0)
