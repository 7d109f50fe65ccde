"""
What differs from one deployment of LeadGenius to another, and the names by which it is chosen.

Owns the choices only; what each of them does is written beside the endpoint that shows it.
"""

import difflib
from collections.abc import Collection
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


QUIRKS: dict[str, dict[str, Any]] = {
    "marked_deletes": {"deletes": "marked"},
    "hidden_deletes": {"deletes": "hidden"},
    "short_listing": {"listed_fields": SHORT_LISTING},
    "unique_email": {"unique_email": True},
    "next_token": {"cursor_name": "nextToken"},
    "retry_after": {"rate_retry_after": True},
    "no_rate_headers": {"rate_headers": False},
}


def with_quirks(base: ApiQuirks, names: Collection[str]) -> ApiQuirks:
    """
    `base` with what the names stand for.

    Raises:
        ValueError: A name is unknown; the message names those that look like it.
    """
    for name in names:
        if name not in QUIRKS:
            near = difflib.get_close_matches(name, QUIRKS, n=4, cutoff=0.4)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise ValueError(f"no quirk is called {name!r}{hint}")
        base = replace(base, **QUIRKS[name])
    return base
