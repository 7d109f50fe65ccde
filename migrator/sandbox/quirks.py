"""Differences between deployments of LeadGenius, by name. The endpoints implement them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
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
        page_limit: The longest page of leads, whatever the request.
        rate_headers: Whether answers have rate-limit headers.
        rate_retry_after: Whether a 429 has a `Retry-After`.
        deletes: `hard` removes a lead; `marked` keeps it in listings with a status, a date and the
            user; `hidden` marks it and hides it from listings.
        listed_fields: The only fields in listings; None = all.
        unique_email: Whether a client rejects a second lead with the same e-mail with 409.
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
    unique_email: bool = False
    first_status: str = ""
    partial: bool = True
    null_clears: bool = True
    empty_clears: bool = False


@dataclass(frozen=True, slots=True)
class Quirk:
    """
    A difference with a name.

    Args:
        meaning: Its effect on clients, for people.
        changes: Fields of `ApiQuirks`.
    """

    meaning: str
    changes: Mapping[str, Any]


QUIRKS = {
    "empty_clears": Quirk(
        "an empty text in an update clears the field, instead of a 500", {"empty_clears": True}
    ),
    "hidden_deletes": Quirk("deleted leads are marked, and not listed", {"deletes": "hidden"}),
    "marked_deletes": Quirk(
        "deleted leads stay listed, with status to_be_deleted", {"deletes": "marked"}
    ),
    "next_token": Quirk("the cursor is called nextToken", {"cursor_name": "nextToken"}),
    "no_rate_headers": Quirk("no header tells of the rate limit", {"rate_headers": False}),
    "null_ignored": Quirk("null in an update changes nothing", {"null_clears": False}),
    "replacing_update": Quirk(
        "an update removes the fields that it does not name", {"partial": False}
    ),
    "retry_after": Quirk("a 429 tells when to come back", {"rate_retry_after": True}),
    "short_listing": Quirk(
        "listings show neither notes nor phoneNumber nor companyUrl",
        {"listed_fields": SHORT_LISTING},
    ),
    "status_new": Quirk("a lead is created with status new", {"first_status": "new"}),
    "unique_email": Quirk("a second lead with an e-mail is answered 409", {"unique_email": True}),
}


def with_quirks(base: ApiQuirks, names: Collection[str]) -> ApiQuirks:
    """
    Add the named quirks to `base`.

    Raises:
        ValueError: A name is unknown; the message lists all names.
    """
    for name in names:
        if name not in QUIRKS:
            raise ValueError(f"no quirk is called {name!r}; there are {', '.join(QUIRKS)}")
        base = replace(base, **QUIRKS[name].changes)
    return base
