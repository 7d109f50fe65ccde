"""
What differs from one deployment of LeadGenius to another, and the names by which it is chosen.

Owns the choices only; what each of them does is written beside the endpoint that shows it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

# What the newer API's listing shows unless more is asked for: no notes, no phone, no company URL.
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
    One deployment's choices.

    Args:
        cursor_name: `lastKey` by the guide, `nextToken` by the vendor's reference. Only the one
            that is set is understood when it comes back.
        page_limit: No page of leads is longer, whatever was asked for.
        rate_headers: Whether answers tell what is left of the limit.
        rate_retry_after: Whether a 429 tells when to come back.
        deletes: `hard` takes a lead away; `marked` leaves it in listings with a status, a date and
            who did it; `hidden` marks it and lists it no more.
        listed_fields: The only fields that a listing shows; None = all.
        unique_email: Whether a client takes an e-mail once only, and answers 409 after that.
    """

    cursor_name: str = "lastKey"
    page_limit: int | None = None
    rate_headers: bool = True
    rate_retry_after: bool = False
    deletes: str = "hard"
    listed_fields: frozenset[str] | None = None
    unique_email: bool = False


@dataclass(frozen=True, slots=True)
class Quirk:
    """
    A difference that can be chosen by name.

    Args:
        meaning: What clients see of it, for people.
        changes: Fields of `ApiQuirks`.
    """

    meaning: str
    changes: Mapping[str, Any]


QUIRKS = {
    "hidden_deletes": Quirk("deleted leads are marked, and not listed", {"deletes": "hidden"}),
    "marked_deletes": Quirk(
        "deleted leads stay listed, with status to_be_deleted", {"deletes": "marked"}
    ),
    "next_token": Quirk("the cursor is called nextToken", {"cursor_name": "nextToken"}),
    "no_rate_headers": Quirk("no header tells of the rate limit", {"rate_headers": False}),
    "retry_after": Quirk("a 429 tells when to come back", {"rate_retry_after": True}),
    "short_listing": Quirk(
        "listings show neither notes nor phoneNumber nor companyUrl",
        {"listed_fields": SHORT_LISTING},
    ),
    "unique_email": Quirk("a second lead with an e-mail is answered 409", {"unique_email": True}),
}


def with_quirks(base: ApiQuirks, names: Collection[str]) -> ApiQuirks:
    """
    `base` with what the names stand for.

    Raises:
        ValueError: A name is unknown; the message names all that there are.
    """
    for name in names:
        if name not in QUIRKS:
            raise ValueError(f"no quirk is called {name!r}; there are {', '.join(QUIRKS)}")
        base = replace(base, **QUIRKS[name].changes)
    return base
