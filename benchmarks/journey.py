"""
A journey that is killed on purpose: a sandbox full of faults, a gate, victims, and the way on.

Owns how a victim is brought up and awaited, what befalls which contact, and how a journey that was
killed is brought to its end with the words that a user would type.
"""

import atexit
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.cut_proxy import Effects, Gate
from benchmarks.judge import contact_of
from migrator.sandbox import Sandbox

CONTACTS = 40
LATE = 0.25
SETTLE = 1.0
OF_PACE = (*("--rate", "max", "--workers", "3"), *("--timeout", "0.4", "--settle", str(SETTLE)))
# No victim of these few contacts lives so long.
LONGEST_LIFE_SECONDS = 60.0
LONGEST_WAY = 12
# So many contacts of an update meet no fault.
SMOOTH = 6

# Each befalls one contact, once.
OF_UPDATES = """
    drop_before_saving drop_after_saving hang_before_saving hang_after_saving save_late truncated
    error_after_saving error_without_saving html_after_saving throttle expire_token refuse
"""
REFUSED = 1  # of these
OF_SENDS = """
    drop_before_saving drop_after_saving reset_after_saving hang_before_saving hang_after_saving
    save_late slow truncated html html_after_saving no_id empty_answer error_after_saving
    error_without_saving unavailable conflict conflict_after_saving redirect refuse unprocessable
    too_large forbidden not_found throttle expire_token
"""
OF_LISTINGS = "short_page empty_page list_error list_drop"
OF_HUBSPOT = "hubspot_short_page hubspot_empty_page hubspot_error hubspot_drop"


class Stuck(Exception):
    """A journey does not come to its end, or ends in a way that it must not."""


class Journey:
    """One ledger between the two services of a sandbox of its own; use it as a context."""

    def __init__(self, folder: Path, quirks: Collection[str] = ()) -> None:
        self._folder = folder
        self.ledger = folder / "migrator.db"
        self.sandbox = Sandbox(
            contacts=CONTACTS,
            late_seconds=LATE,
            slow_seconds=LATE,
            page_limit=7,
            quirks=quirks,
        ).start()
        self.gate = Gate(int(self.sandbox.url.rpartition(":")[2]), self.ledger)
        self._arm()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.gate.close()
        self.sandbox.stop()

    def _arm(self) -> None:
        sendable = [one.contact_id for one in self.sandbox.expected() if one.lead is not None]
        for contact, name in zip(sendable[4:], OF_SENDS.split(), strict=False):
            self.sandbox.fault(name, where=_is_of(contact))
        for name in OF_LISTINGS.split():
            self.sandbox.fault(name)

    def trouble_hubspot(self) -> None:
        """Let the next pages come short, empty, late or not at all."""
        for name in OF_HUBSPOT.split():
            self.sandbox.fault(name)

    def play(
        self, words: str, cut: int = 0, kind: str | None = None, seconds: float = 0.0
    ) -> Effects:
        """
        Let one victim live until it ends, or until its effect number `cut` of that kind, or for so
        many seconds; 0 = it is not killed so.
        """
        effects = self.gate.effects = Effects(cut, kind, seconds)
        code = self._await(words.split())
        effects.end()
        text = (self._folder / "err").read_text(errors="replace")
        if "Traceback" in text or "bug in migrator" in text:
            raise Stuck(f"`{words}` ended with a bug: {text[-2000:]}")
        if not effects.is_cut and code not in (0, 1, 4):
            raise Stuck(f"`{words}` ended with {code}: {text[-500:]}")
        self.code = code
        return effects

    def _await(self, words: list[str]) -> int:
        nursery = _nursery()
        if nursery.stdin is None or nursery.stdout is None:
            raise Stuck("there is no nursery")
        order = {
            "words": [*words, *_options(words[0])],
            "folder": str(self._folder),
            "environment": self._environment(),
            "control": self.gate.control_port,
        }
        nursery.stdin.write(json.dumps(order) + "\n")
        nursery.stdin.flush()
        return int(json.loads(nursery.stdout.readline())["code"])

    def _environment(self) -> Mapping[str, str]:
        gate = f"http://127.0.0.1:{self.gate.port}"
        return {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "LANG")},
            **self.sandbox.environment(),
            "HUBSPOT_BASE_URL": gate,
            "LEADGENIUS_BASE_URL": gate,
            "LEADGENIUS_AUTH_FILE": str(self._folder / "auth.json"),
            "MIGRATOR_LEDGER": str(self.ledger),
            "HOME": str(self._folder),
            "XDG_STATE_HOME": str(self._folder / "state"),
        }

    def must(self, words: str, *good: int) -> None:
        """
        Play a command to its end, again and again, until it ends well.

        Raises:
            Stuck: it never does.
        """
        for _ in range(LONGEST_WAY):
            self.play(words)
            if self.code in (good or (0,)):
                return
        raise Stuck(f"`{words}` ends with {self.code}, however often it is typed")

    def play_into_doubt(self) -> None:
        """Kill a push when a good part is sent, and much of it in doubt."""
        self.play("push", cut=14, kind="send: last byte")

    def play_to_changes(self) -> None:
        """Move all contacts; then they change at HubSpot, and people edit some of their leads."""
        self.sandbox.calm()
        for words in ("stage", "push", "verify"):
            self.must(words)
        leads = {contact_of(lead): lead["id"] for lead in self.sandbox.leads()}
        faults = OF_UPDATES.split()
        changed = sorted(leads, key=int)[: SMOOTH + len(faults)]
        for number, contact in enumerate(changed):
            new = {"jobtitle": f"Chair {number}", "lifecyclestage": f"stage {number}"}
            self.sandbox.change_contact(contact, **new)
        for contact, name in zip(changed[SMOOTH:], faults, strict=True):
            self.sandbox.fault(f"update:{name}", where=_is_of(contact))
        self._edit([leads[contact] for contact in changed])
        for name in OF_LISTINGS.split():
            self.sandbox.fault(name)
        self.must("stage")

    def _edit(self, lead_ids: Sequence[str]) -> None:
        """Two titles that HubSpot changed, too, a name that it did not, and lines of notes."""
        for lead_id in (lead_ids[1], lead_ids[-3]):
            self.sandbox.change_lead(lead_id, title="Boss")
        self.sandbox.change_lead(lead_ids[3], lastName="Married")
        for lead_id in (*lead_ids[4:9], lead_ids[-1]):
            self.sandbox.append_note(lead_id, "Called on Monday")

    def end_updates(self) -> None:
        """
        Bring all changes over, as a user would; conflicts stay.

        Raises:
            Stuck: an update sends again what was sent.
        """
        self.must("update --yes", 0, 1)
        self.must("retry --reason refused")
        before = self._updates()
        for most in (REFUSED, 0):
            self.must("update --yes", 0, 1)
            if (more := self._updates() - before) > most:
                raise Stuck(f"an update that had ended leaves {more} to the next one, not {most}")
            before += more
        self.must("verify")

    def _updates(self) -> int:
        return self._writes("PUT")

    def _writes(self, method: str) -> int:
        return sum(one.method == method for one in self.sandbox.received)

    def play_to_deletes(self) -> None:
        """Move all contacts; then people edit some of their leads, and deletes go wrong."""
        self.sandbox.calm()
        for words in ("stage", "push", "verify"):
            self.must(words)
        leads = {contact_of(lead): lead["id"] for lead in self.sandbox.leads()}
        ours = sorted(leads, key=int)
        for contact, name in zip(ours[SMOOTH:], OF_UPDATES.split(), strict=False):
            self.sandbox.fault(f"delete:{name}", where=_is_of(contact))
        self._edit([leads[contact] for contact in ours])
        for name in OF_LISTINGS.split():
            self.sandbox.fault(name)

    def end_deletes(self) -> None:
        """
        Take all leads back, as a user would; those that people edited stay.

        Raises:
            Stuck: an undo deletes again what was deleted, or another number of leads stays.
        """
        self.must("undo --all --yes", 0, 1)
        self.must("retry --reason refused")
        self.must("undo --all --yes", 0, 1)
        before = self._writes("DELETE")
        self.must("undo --all --yes", 0, 1)
        if self._writes("DELETE") != before:
            raise Stuck("an undo sends what was sent before")
        edited = {change.lead_id for change in self.sandbox.history if not change.is_of_tool}
        left = {str(lead["id"]) for lead in self.sandbox.leads()}
        if left != edited:
            raise Stuck(f"left: {left ^ edited}, which is not what people edited")

    def end(self, *, but_verify: bool = False) -> None:
        """Bring the journey to its end, with what a user would type."""
        self.must("stage")
        self.must("push --resume", 0, 1)
        # What the faults had the service refuse is, by the guide, no fault of the contact.
        self.must("retry --reason refused")
        self.must("push --resume")
        if not but_verify:
            self.must("verify")


@functools.cache
def _nursery() -> subprocess.Popen[str]:
    """One for all journeys of this process: its imports take longer than many a life."""
    nursery = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.child_process"],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(nursery.communicate)  # no more orders: it ends
    return nursery


def _is_of(contact: str) -> Callable[[dict[str, Any]], bool]:
    return lambda lead: contact_of(lead) == contact


def _options(verb: str) -> list[str]:
    if verb == "push":
        return [*OF_PACE, "--canary", "3"]
    if verb in ("update", "undo"):
        return list(OF_PACE)
    return ["--settle", str(SETTLE)] if verb == "verify" else []
