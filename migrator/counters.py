"""
What each command counts: one class a command, with the label of each counter beside it.

Progress, result line, report and JSON read these classes, so a number has one name and one label.
`counters` is what the run stores and its JSON has; `parts` is what people read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

from migrator.states import Outcome
from migrator.text import count_noun


@dataclass(frozen=True)
class _Spec:
    """
    How a counter is shown.

    Args:
        label: Follows the number; "" = for programs only.
        noun: What is counted, between number and label.
        always: Whether a result line has it even if it is 0.
        attention: Whether what it counts needs attention.
        reach: Whether progress shows it as part of `reach`.
        stored: Whether it is kept with the run; otherwise only progress has it.
        plus: Another counter, which is added when it is shown.
    """

    label: str = ""
    noun: str = ""
    always: bool = False
    attention: bool = False
    reach: bool = False
    stored: bool = True
    plus: str = ""


def _count(label: str = "", **how: Any) -> Any:
    return field(default=0, metadata={"count": _Spec(label, **how)})


@dataclass
class Counters:
    """The numbers of a run of a command."""

    @classmethod
    def read(cls, numbers: Mapping[str, int]) -> Self:
        """From stored numbers; those that are not this command's are ignored."""
        return cls(**{name: numbers.get(name, 0) for name, _ in cls._specs()})

    @classmethod
    def _specs(cls) -> Iterator[tuple[str, _Spec]]:
        """A command's own counters come before those that it shares."""
        own = sorted(fields(cls), key=lambda one: one.name not in cls.__annotations__)
        return ((one.name, one.metadata["count"]) for one in own if one.metadata)

    def counters(self) -> dict[str, int]:
        """The numbers that the run stores and its JSON has."""
        return {name: getattr(self, name) for name, spec in self._specs() if spec.stored}

    def parts(self, *, zeros: bool = False, live: bool = False) -> Iterator[str]:
        """
        The labelled numbers, such as "5 refused".

        Args:
            zeros: Include those that a result line always has.
            live: Leave out those that progress shows as `reach`.
        """
        for name, spec in self._specs():
            number = getattr(self, name) + (getattr(self, spec.plus) if spec.plus else 0)
            is_shown = number or (zeros and spec.always)
            if spec.label and is_shown and not (live and spec.reach):
                counted = count_noun(number, spec.noun) if spec.noun else f"{number:,}"
                yield f"{counted} {spec.label}"

    def line(self) -> str:
        """The result line."""
        return " · ".join(self.parts(zeros=True))

    @property
    def left_for_a_person(self) -> int:
        """How many contacts or leads need attention because of this run."""
        return sum(getattr(self, name) for name, spec in self._specs() if spec.attention)

    def reach(self, total: int | None) -> tuple[int, str]:
        """How far the command is: how much is done, and of what; `total=None` = not known."""
        return 0, ""


@dataclass
class StageCounters(Counters):
    """
    What `stage` did, in contacts; `pages` in pages.

    Args:
        withdrawn: Contacts whose leads were built by another mapping.
        changed_since_sent: Contacts whose lead would be another one now than was sent.
        gone: Contacts that HubSpot has no more, sent or not.
        forgotten: Contacts that HubSpot gave although `forget` took them out; they stay empty.
        mapped: Contacts with a lead, including those held because of a duplicate e-mail.
        rejected: Contacts without a lead.
        ineffective: Amended contacts whose leads are as they would be without the amendment.
        odd: Rows of HubSpot's list without a usable id; they were left out.
    """

    withdrawn: int = _count("to be mapped again")
    pages: int = _count()
    given: int = _count("read", noun="contact", always=True, reach=True)
    new: int = _count("new", always=True)
    changed: int = _count("changed", always=True)
    changed_since_sent: int = _count("changed since they were sent")
    gone: int = _count("gone from HubSpot")
    forgotten: int = _count("forgotten, but still in HubSpot", noun="contact")
    mapped: int = _count("mapped", always=True)
    rejected: int = _count("without a usable e-mail")
    freed: int = _count("freed")
    ineffective: int = _count("amended without effect")
    odd: int = _count()

    def reach(self, total: int | None) -> tuple[int, str]:
        """First contacts are read, then mapped."""
        if total is None:
            return self.given, "contacts read"
        return self.mapped + self.rejected, "mapped or held"


@dataclass
class WriteCounters(Counters):
    """
    What a command that writes did, in contacts, and what it waits for.

    Args:
        absent: Writes in doubt that a complete listing did not show.
        to_send: Contacts in the ledger that are due.
        total: Contacts that this run is expected to do, within its limit.
        allowed_per_minute: Requests that may leave; `None` = no rate limit.
        are_alike: Whether so many identical refusals came in a row that the account may be the
            cause, with no contact left to probe with.
        waiting_for: Completes the words "waiting for"; `None` = the command is not waiting.
        waiting_seconds: How much longer; `None` = unknown.
    """

    absent: int = _count("had not arrived", noun="uncertain send")
    refused: int = _count("refused", attention=True)
    denied: int = _count()
    throttled: int = _count()
    unsent: int = _count()
    gave_up: int = _count("given up", attention=True)
    in_flight: int = _count()
    in_doubt: int = _count()
    to_send: int = _count()
    total: int = _count()
    allowed_per_minute: float | None = None
    are_alike: bool = False
    waiting_for: str | None = None
    waiting_seconds: float | None = None

    # The number that an outcome adds to; refusals are counted by contact (`ProgressRecorder`).
    counted: ClassVar[Mapping[Outcome, str]] = {}
    # Those of them that are writes that were done.
    done_by: ClassVar[tuple[str, ...]] = ()

    @property
    def done(self) -> int:
        """Writes that were done, including those that a listing found."""
        return sum(getattr(self, name) for name in self.done_by)

    def set_waiting(self, waiting_for: str | None, seconds: float | None = None) -> None:
        """Set what the command waits for; `None` = nothing."""
        self.waiting_for, self.waiting_seconds = waiting_for, seconds

    def count(self, outcome: Outcome | None) -> None:
        """Count the outcome of an attempt; `None` = in doubt."""
        if outcome is not None and (name := self.counted.get(outcome)):
            setattr(self, name, getattr(self, name) + 1)


_NOT_DONE = {
    Outcome.ABSENT: "absent",
    Outcome.DENIED: "denied",
    Outcome.THROTTLED: "throttled",
    Outcome.UNSENT: "unsent",
}


@dataclass
class PushCounters(WriteCounters):
    """
    What `push` did, in contacts, and what it waits for.

    Args:
        found: Contacts in doubt whose leads a listing showed.
    """

    counted: ClassVar = {**_NOT_DONE, Outcome.CREATED: "posted", Outcome.FOUND: "found"}
    done_by: ClassVar = ("posted", "found")

    posted: int = _count("posted", always=True, reach=True, plus="found")
    found: int = _count("of them after a doubt", reach=True)
    adopted: int = _count("adopted (already in LeadGenius)")

    def reach(self, total: int | None) -> tuple[int, str]:
        """Contacts whose leads arrived."""
        return self.done, "posted"


@dataclass
class UpdateCounters(WriteCounters):
    """
    What `update` did, in contacts; one may be in several.

    Args:
        updated: An update of its lead was taken.
        already: Nothing was sent, because all that HubSpot changed was there.
        conflicts: HubSpot and LeadGenius's users changed the same field; held.
        not_cleared: A value is empty at HubSpot now, and was not cleared.
        missing: Its lead is not there.
        edited: Updates in doubt whose leads had other values by then: compared again.
        freed: Duplicates whose e-mail no other contact has any more: the next push sends them.
    """

    counted: ClassVar = {
        **_NOT_DONE,
        Outcome.UPDATED: "updated",
        Outcome.FOUND: "updated",
        Outcome.EDITED: "edited",
    }
    done_by: ClassVar = ("updated",)

    updated: int = _count("updated", always=True, reach=True)
    already: int = _count("there already", always=True)
    conflicts: int = _count("in conflict", always=True, attention=True)
    not_cleared: int = _count("with a value that was not cleared", noun="contact")
    missing: int = _count("missing", attention=True)
    edited: int = _count()
    freed: int = _count("freed", noun="duplicate")

    def reach(self, total: int | None) -> tuple[int, str]:
        """Contacts whose leads were updated."""
        return self.done, "updated"


@dataclass
class UndoCounters(WriteCounters):
    """
    What `undo` did, in leads.

    Args:
        deleted: Deleted by this ledger, and a listing showed it.
        kept_leads: Not deleted, or still listed; each is named with the reason.
        already_gone: Not there any more.
        answered, found: Deletes that LeadGenius took, and those in doubt that were done.
    """

    counted: ClassVar = {**_NOT_DONE, Outcome.DELETED: "answered", Outcome.FOUND: "found"}
    done_by: ClassVar = ("answered", "found")

    deleted: int = _count("deleted", always=True)
    kept_leads: int = _count("kept", always=True, attention=True)
    already_gone: int = _count("gone already")
    answered: int = _count()
    found: int = _count()
    # Such leads are kept.
    refused: int = _count()
    gave_up: int = _count()

    def reach(self, total: int | None) -> tuple[int, str]:
        """Deletes that LeadGenius took."""
        return self.done, "deleted"


@dataclass
class VerifyCounters(Counters):
    """
    What `verify` found: contacts, and, as `strangers` and from `unclaimed` on, leads.

    Args:
        verified: Moved to verified by this run.
        missing: Posted, but not listed, or marked as deleted; held.
        different: Posted, and listed with other values than were sent; held.
        doubled: With more than one lead at the destination; held.
        strangers: Leads of other origin.
        edited: Verified once, and listed with other values since.
        unclaimed: Of contacts without a lead in this ledger: the next push takes them over.
        blocked: Of such contacts too, but no push can take them over as they are.
        unknown: With our portal's line, of contacts that are not in this ledger.
        removed: Marked by LeadGenius as deleted or as duplicates, of any origin.
        in_doubt: Of contacts in doubt: the next push settles those.
        odd: Rows without an id. One with a contact's line or e-mail stands for its lead; the
            others are left out.
        unreadable: Of those, rows that show neither: a missing lead may be one of them.
        leads: Leads that were read so far.
    """

    verified: int = _count("newly verified", always=True)
    missing: int = _count("missing", always=True, attention=True)
    different: int = _count("different", always=True, attention=True)
    doubled: int = _count("doubled", always=True, attention=True)
    strangers: int = _count("of others", noun="lead", always=True)
    edited: int = _count("edited in LeadGenius after being verified", noun="contact")
    unclaimed: int = _count(
        "of contacts that have none in this ledger", noun="lead", attention=True
    )
    blocked: int = _count(
        "of such contacts that no push can take over as it is", noun="lead", attention=True
    )
    unknown: int = _count("of contacts that are not in this ledger", noun="lead")
    removed: int = _count("marked as deleted or as a duplicate", noun="lead")
    in_doubt: int = _count("of contacts in doubt", noun="lead")
    pages: int = _count()
    odd: int = _count()
    unreadable: int = _count()
    leads: int = _count(stored=False)

    def reach(self, total: int | None) -> tuple[int, str]:
        """Leads that were read."""
        return self.leads, "leads compared"


@dataclass
class ProbeCounters(Counters):
    """
    What `probe` did.

    Args:
        requests: Requests to LeadGenius.
        experiments: Experiments that have ended.
    """

    experiments: int = _count("done", noun="experiment", reach=True)
    requests: int = _count("made", noun="request")

    def reach(self, total: int | None) -> tuple[int, str]:
        """Experiments that have ended."""
        return self.experiments, "experiments done"


@dataclass
class RetryCounters(Counters):
    """What `retry` did, in contacts."""

    freed: int = _count("freed", noun="contact", always=True)


@dataclass
class AmendCounters(Counters):
    """What `amend` did, in contacts."""

    amended: int = _count("amended", noun="contact", always=True)
    mapped: int = _count("mapped", always=True)
    held: int = _count("still held", always=True)
    decided: int = _count("decided", noun="conflict")
    freed: int = _count("freed", noun="duplicate")
    ineffective: int = _count("amended without effect")


@dataclass
class ForgetCounters(Counters):
    """What `forget` did, in contacts."""

    forgotten: int = _count("forgotten", noun="contact", always=True)
    given_up: int = _count("of them held, and given up")


_CLASSES: Mapping[str, type[Counters]] = {
    "stage": StageCounters,
    "push": PushCounters,
    "update": UpdateCounters,
    "undo": UndoCounters,
    "verify": VerifyCounters,
    "probe": ProbeCounters,
    "retry": RetryCounters,
    "amend": AmendCounters,
    "forget": ForgetCounters,
}


def counters_of(command: str, numbers: Mapping[str, int]) -> Counters:
    """The stored numbers of a run as the class of its command."""
    return _CLASSES.get(command.split(" ")[0], Counters).read(numbers)
