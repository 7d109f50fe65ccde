"""
What a probe found out about a LeadGenius deployment (the contract, section 6).

Each field is a key of `migrator probe --json`. An experiment that could not be made leaves its
fields as None and its name in `not_measured`.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

# The default of --settle, in seconds (design, I3).
DEFAULT_SETTLE_SECONDS = 60
# A few measured landings do not show the latest one there can be.
_SETTLE_MARGIN = 2


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

    def as_json(self) -> dict[str, Any]:
        """All keys of the contract, `settle_s` among them."""
        return {**asdict(self), "settle_s": self.settle_s}

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> "Findings":
        """The findings of such an object; unknown keys are ignored, missing ones not measured."""
        known = {one.name for one in fields(cls)}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in data.items()
            if name in known
        }
        return cls(**values)


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
