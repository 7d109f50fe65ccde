"""Differences between deployments of LeadGenius, by name. The endpoints implement them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

# The fields in listings of the newer API: no notes, no phone number, no company URL.
SHORT_LISTING = frozenset(
    (
        "id",
        "firstName",
        "lastName",
        "fullName",
        "email",
        "linkedinUrl",
        "companyName",
        "title",
        "status",
        "client_id",
        "company_id",
        "createdAt",
        "updatedAt",
    )
)


@dataclass(frozen=True, slots=True)
class ApiQuirks:
    """
    The properties of a deployment.

    Args:
        cursor_name: `lastKey` in the guide, `nextToken` in the vendor's reference. Requests must
            use the same name.
        page_limit: The longest page of leads; longer ones are cut.
        rate_headers: Whether answers have rate-limit headers.
        rate_retry_after: Whether a 429 has a `Retry-After`.
        deletes: `hard` removes a lead; `marked` keeps it in listings with a status, a date and the
            user; `hidden` marks it and hides it from listings.
        listed_fields: The only fields in listings, beside `id`; None = all.
        selects_always: Whether every other answer shows only `listed_fields`, too.
        real_total: Whether `total` of a listing counts all its leads, not those of the page.
        same_email: What a POST does with an e-mail that the client has: `second_lead` saves it,
            `refused` answers 409, `updated` changes the lead that has it.
        batch_saves: Whether a POST of several leads saves them (guide, bug 2: it does not).
        phone: A field `phone` is an `error` (guide, bug 3), or `kept`, or `dropped`.
        empty_string: The same for an empty text in a POST (guide, bug 4).
        dot_last_name: The same for a last name that is a punctuation mark (guide, bug 6).
        dropped_fields: Fields that are accepted and not saved.
        notes_limit: Characters of `notes` that are saved; None = all.
        late_commit: A write whose client closes the connection within `PATIENCE_SECONDS` and the
            latency takes effect this many seconds later; None = at once.
        first_status: The status of a lead that is created without one; "" = none.
        partial: Whether a PUT changes only the fields that it names; else all others vanish, except
            for `client_id`, `status` and what the service itself adds.
        null_clears: Whether null in a PUT removes the field; else it counts as not named.
        empty_clears: Whether an empty text in a PUT removes the field; else it is answered 500.
    """

    cursor_name: str = "lastKey"
    page_limit: int | None = None
    rate_headers: bool = True
    rate_retry_after: bool = False
    deletes: str = "hard"
    listed_fields: frozenset[str] | None = None
    selects_always: bool = False
    real_total: bool = False
    same_email: str = "second_lead"
    batch_saves: bool = False
    phone: str = "error"
    empty_string: str = "error"
    dot_last_name: str = "error"
    dropped_fields: frozenset[str] = frozenset()
    notes_limit: int | None = None
    late_commit: float | None = None
    first_status: str = ""
    partial: bool = True
    null_clears: bool = True
    empty_clears: bool = False


@dataclass(frozen=True, slots=True)
class Quirk:
    """
    A difference with a name, and perhaps with a value.

    Args:
        meaning: Its effect on clients, for people.
        changes: Fields of `ApiQuirks`.
        value: What its value is called, for people; "" = it has none.
        read: Makes the value of the field of `ApiQuirks` that is called like the quirk; raises
            ValueError.
    """

    meaning: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    value: str = ""
    read: Callable[[str], Any] = str

    def form(self, name: str) -> str:
        """How it is typed: `NAME`, or `NAME=` and what its value is called."""
        return f"{name}={self.value}" if self.value else name


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("a whole number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    if not text.replace(".", "", 1).isdecimal() or float(text) > 3600:
        raise ValueError("a number of seconds from 0 to 3600")
    return float(text)


def _fields(text: str) -> frozenset[str]:
    names = frozenset(text.split(","))
    if not all(name.split() == [name] for name in names):
        raise ValueError("names of fields with commas between them")
    return names


QUIRKS = {
    "batch_saves": Quirk("a POST of several leads at once saves them, too", {"batch_saves": True}),
    "dot_last_name_dropped": Quirk(
        "a last name of one punctuation mark is left out, instead of a 500",
        {"dot_last_name": "dropped"},
    ),
    "dot_last_name_kept": Quirk(
        "a last name of one punctuation mark is saved, instead of a 500",
        {"dot_last_name": "kept"},
    ),
    "dropped_fields": Quirk("these fields are accepted and not saved", value="A,B", read=_fields),
    "empty_clears": Quirk(
        "an empty text in an update clears the field, instead of a 500", {"empty_clears": True}
    ),
    "empty_string_dropped": Quirk(
        "an empty text in a new lead is left out, instead of a 500", {"empty_string": "dropped"}
    ),
    "empty_string_kept": Quirk(
        "an empty text in a new lead is saved, instead of a 500", {"empty_string": "kept"}
    ),
    "hidden_deletes": Quirk(
        "deleted leads are marked, and listed only with `includeDeleted=true`",
        {"deletes": "hidden"},
    ),
    "late_commit": Quirk(
        "a write whose client gave up takes effect this many seconds later",
        value="SECONDS",
        read=_seconds,
    ),
    "listed_fields": Quirk(
        "listings show these fields only, and the id", value="A,B", read=_fields
    ),
    "marked_deletes": Quirk(
        "deleted leads stay listed, with status to_be_deleted", {"deletes": "marked"}
    ),
    "next_token": Quirk("the cursor is called nextToken", {"cursor_name": "nextToken"}),
    "no_rate_headers": Quirk("no header tells of the rate limit", {"rate_headers": False}),
    "notes_limit": Quirk("notes are cut after this many characters", value="N", read=_whole),
    "null_ignored": Quirk("null in an update changes nothing", {"null_clears": False}),
    "page_limit": Quirk(
        "a page of leads has at most this many, also if more were asked for", value="N", read=_whole
    ),
    "phone_dropped": Quirk(
        "a field called phone is left out, instead of a 500", {"phone": "dropped"}
    ),
    "phone_kept": Quirk("a field called phone is saved, instead of a 500", {"phone": "kept"}),
    "real_total": Quirk(
        "`total` of a listing counts all its leads, not those of the page", {"real_total": True}
    ),
    "replacing_update": Quirk(
        "an update removes the fields that it does not name", {"partial": False}
    ),
    "retry_after": Quirk("a 429 tells when to come back", {"rate_retry_after": True}),
    "selects_always": Quirk(
        "answers with one lead show the fields of listings only, too", {"selects_always": True}
    ),
    "short_listing": Quirk(
        "listings show neither notes nor phoneNumber nor companyUrl",
        {"listed_fields": SHORT_LISTING},
    ),
    "status_new": Quirk("a lead is created with status new", {"first_status": "new"}),
    "unique_email": Quirk(
        "a second lead with an e-mail is answered 409", {"same_email": "refused"}
    ),
    "updating_email": Quirk(
        "a second lead with an e-mail changes the first one, and is answered with its id",
        {"same_email": "updated"},
    ),
}


def with_quirks(base: ApiQuirks, texts: Collection[str]) -> ApiQuirks:
    """
    Add quirks to `base`.

    Args:
        texts: `NAME`, or `NAME=VALUE` for those with a value.

    Raises:
        ValueError: A name is unknown (the message lists all names), or a value is missing, wrong or
            not wanted.
    """
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in QUIRKS:
            raise ValueError(f"no quirk is called {name!r}; there are {', '.join(QUIRKS)}")
        base = replace(base, **_changes(name, value, has_value=bool(equals)))
    return base


def _changes(name: str, value: str, *, has_value: bool) -> Mapping[str, Any]:
    quirk = QUIRKS[name]
    if not quirk.value and has_value:
        raise ValueError(f"the quirk {name} takes no value")
    if not quirk.value:
        return quirk.changes
    try:
        return {name: quirk.read(value)}
    except ValueError as error:
        raise ValueError(f"the quirk {quirk.form(name)} takes {error}, not {value!r}") from None
