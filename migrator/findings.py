"""
What a probe found out about a LeadGenius deployment (the contract, section 6).

Each field is a key of `migrator probe --json`. An experiment that could not be made leaves its
fields as None and its name in `not_measured`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from migrator.mapping import FIELDS, record_line

# The default of --settle, in seconds (design, I3).
DEFAULT_SETTLE_SECONDS = 60
# A few measured landings do not show the latest one there can be.
_SETTLE_MARGIN = 2
# As long as an id of HubSpot can be.
_LONGEST_ID = "9" * 20
# What is beyond these was not measured: a probe waits for ten minutes at most.
_LONGEST_SECONDS = 86_400
_HIGHEST_COUNT = 1_000_000_000


@dataclass(frozen=True)
class Findings:
    """
    The behaviour of one LeadGenius deployment, as measured.

    Args:
        latency_ms: `median`, `p95` and `max` of a create's answer, in milliseconds.
        list_lag_s: The longest time from an answer until the lead was listed, in seconds.
        late_s: The longest time from an abandoned create until its lead was listed, in seconds;
            None = none landed.
        listing_fields: The fields that a listing shows.
        fields_kept: Of the fields that a mapping may name, those that are stored.
        notes_kept: True = whole; a number = only so many characters; False = not at all.
        page_limit: Leads on a page when 1,000 are asked for; None = one page held all.
        cursor: The name of the next page's cursor: `lastKey` or `nextToken`; None = no page had
            one.
        total_is_page_size: Whether `total` is the size of the page (guide, bug 7).
        batch_saves: Whether the batch call saves leads (guide, rule 2); it is not used in any case.
        phone, empty_string, dot_last_name: What a field called `phone`, an empty text, and "." as
            the last name come to: `error`, `kept` or `dropped` (guide, rules 1 and 3, bug 3).
        same_email: What a second lead with the same e-mail is: a `second_lead`, `refused`, or the
            first one `updated`.
        rate_limit: Requests a minute by the headers; None = they tell none.
        update: Of a PUT: `partial`, whether the fields that it does not name stay; `null_clears`
            and `empty_clears`, whether such a value empties a field.
        delete: `hard`, `marked` or `hidden`.
        left_behind: Ids of leads and clients that could not be removed.
        not_measured: Names of the experiments that could not be made.
    """

    latency_ms: Mapping[str, int] | None = None
    list_lag_s: float | None = None
    late_s: float | None = None
    listing_fields: tuple[str, ...] | None = None
    fields_kept: tuple[str, ...] | None = None
    notes_kept: bool | int | None = None
    page_limit: int | None = None
    cursor: str | None = None
    total_is_page_size: bool | None = None
    batch_saves: bool | None = None
    phone: str | None = None
    empty_string: str | None = None
    dot_last_name: str | None = None
    same_email: str | None = None
    rate_limit: int | None = None
    update: Mapping[str, bool | None] | None = None
    delete: str | None = None
    left_behind: tuple[str, ...] = ()
    not_measured: tuple[str, ...] = ()

    @property
    def needed_settle_s(self) -> int:
        """The seconds that a doubt has to rest by what was measured; 0 = nothing was."""
        longest = max(self.late_s or 0, self.list_lag_s or 0)
        return math.ceil(_SETTLE_MARGIN * longest)

    @property
    def settle_s(self) -> int:
        """What to use for `--settle`: raised where needed, never below the default."""
        return max(DEFAULT_SETTLE_SECONDS, self.needed_settle_s)

    @property
    def dropped_fields(self) -> frozenset[str]:
        """Fields of a lead that are accepted and not stored, as far as they were tried."""
        lost = frozenset(FIELDS).difference(self.fields_kept or FIELDS)
        return lost | {"notes"} if self.notes_kept is False else lost

    @property
    def notes_limit(self) -> int | None:
        """Characters of notes that are stored; None = all, or not measured, or none at all."""
        return None if isinstance(self.notes_kept, bool) else self.notes_kept

    def cuts_off_record_line(self, opening: str, portal_id: str) -> bool:
        """
        Whether the record line of a lead is not stored, by which it is recognised (design, I4).

        Args:
            opening: The first line of the notes, before the record line.
        """
        whole = f"{opening}\n{record_line(portal_id, _LONGEST_ID)}"
        return self.notes_kept is False or (self.notes_limit or len(whole)) < len(whole)

    @staticmethod
    def no_record_line() -> tuple[str, str]:
        """Why nothing may be sent then, and what to do."""
        return (
            "LeadGenius does not store the line in the notes by which leads are recognised. "
            "After a lost answer only the e-mail would tell whether the lead was created, and "
            "another sender would not be noticed, so leads could be created twice.",
            "ask LeadGenius to store notes; then migrator probe",
        )

    def differs_from_guide(self) -> list[str]:
        """What differs from the guide, or is not in it and matters to a push; a sentence each."""
        return [words for is_so, words in self._differences() if is_so]

    def _differences(self) -> Iterator[tuple[object, str]]:
        listed, update = self.listing_fields, self.update or {}
        hidden = sorted({*FIELDS, "notes"}.difference(listed or ()) - self.dropped_fields)
        yield (
            self.settle_s > DEFAULT_SETTLE_SECONDS,
            f"A lead may be listed as late as {self.needed_settle_s / _SETTLE_MARGIN:g} s after it "
            f"was sent: --settle is at least {self.settle_s}.",
        )
        yield listed is not None and hidden, f"A listing does not show {', '.join(hidden)}."
        dropped = ", ".join(sorted(self.dropped_fields))
        yield dropped, f"These fields are accepted and not stored: {dropped}."
        yield (
            self.notes_limit,
            f"Notes are cut after {self.notes_limit or 0:,} characters.",
        )
        yield self.page_limit, f"A page of leads has at most {self.page_limit or 0:,}, not 1,000."
        yield self.cursor == "nextToken", "The cursor of the next page is called nextToken."
        yield self.total_is_page_size is False, "`total` counts all leads (guide, bug 7)."
        yield (
            self.batch_saves,
            "The batch call saves leads (guide, rule 2); it is not used all the same.",
        )
        for value, what in (
            (self.phone, "A field phone (guide, bug 3)"),
            (self.empty_string, "An empty text (guide, rule 1)"),
            (self.dot_last_name, "A last name of a dot (guide, bug 6)"),
        ):
            yield value in ("kept", "dropped"), f"{what} is {value}, and no error."
        yield (
            self.same_email == "refused",
            "A second lead with the same e-mail is refused: contacts whose e-mail another "
            "person's lead has cannot be sent.",
        )
        yield (
            self.same_email == "updated",
            "A lead that is sent with the e-mail of another one overwrites that one: contacts "
            "whose e-mail another person's lead has are not sent.",
        )
        yield self.rate_limit, f"{self.rate_limit or 0:,} requests a minute are allowed."
        yield (
            update.get("partial") is False,
            "An update empties the fields that it does not name: whole leads are sent.",
        )
        yield (
            update.get("partial") is not False
            and (update.get("null_clears") or update.get("empty_clears")),
            "An update can clear a field: what became empty at HubSpot is cleared.",
        )
        yield self.delete == "marked", "A deleted lead stays listed, with a mark."
        yield self.delete == "hidden", "A deleted lead is only hidden from listings."

    def as_json(self) -> dict[str, Any]:
        """All keys of the contract, `settle_s` among them."""
        return {**asdict(self), "settle_s": self.settle_s}

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> "Findings":
        """
        The findings of such an object.

        Unknown keys are ignored. What is missing, or is no possible value, as of a newer version or
        in a file that was edited, counts as not measured.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, is_possible in _POSSIBLE.items()
            if (value := data.get(name)) is not None and is_possible(value)
        }
        return cls(**values)


def _is_number(value: Any) -> bool:
    is_plain = isinstance(value, int | float) and not isinstance(value, bool)
    return is_plain and 0 <= value <= _LONGEST_SECONDS


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= _HIGHEST_COUNT


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_latency(value: Any) -> bool:
    return isinstance(value, dict) and all(
        type(value.get(name)) is int and 0 <= value[name] <= _HIGHEST_COUNT
        for name in ("median", "p95", "max")
    )


def _is_update(value: Any) -> bool:
    return isinstance(value, dict) and all(one is None or _is_bool(one) for one in value.values())


def _is_one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in words


_is_odd_value = _is_one_of("error", "kept", "dropped")
_POSSIBLE: Mapping[str, Callable[[Any], bool]] = {
    "latency_ms": _is_latency,
    "list_lag_s": _is_number,
    "late_s": _is_number,
    "listing_fields": _are_texts,
    "fields_kept": _are_texts,
    "notes_kept": lambda value: _is_bool(value) or _is_count(value),
    "page_limit": _is_count,
    "cursor": _is_one_of("lastKey", "nextToken"),
    "total_is_page_size": _is_bool,
    "batch_saves": _is_bool,
    "phone": _is_odd_value,
    "empty_string": _is_odd_value,
    "dot_last_name": _is_odd_value,
    "same_email": _is_one_of("second_lead", "refused", "updated"),
    "rate_limit": _is_count,
    "update": _is_update,
    "delete": _is_one_of("hard", "marked", "hidden"),
    "left_behind": _are_texts,
    "not_measured": _are_texts,
}


@dataclass(frozen=True)
class ProbeRecord:
    """
    The findings of one probe.

    Args:
        url: LeadGenius's base URL, without `/api`.
        probed_ms: When it ended, in milliseconds since 1970, UTC.
    """

    url: str
    probed_ms: int
    findings: Findings

    @property
    def date(self) -> str:
        """Its day, in UTC."""
        return f"{datetime.fromtimestamp(self.probed_ms / 1000, UTC):%Y-%m-%d}"

    @property
    def words(self) -> str:
        """Its day, and what differs from the guide."""
        differences = self.findings.differs_from_guide() or ["Nothing differs from the guide."]
        return f"{self.date}: {' '.join(differences)}"
