"""The contacts that a person names on the command line, and why one of them stays held."""

from shlex import quote

from migrator.errors import UsageError
from migrator.ledger import Ledger, NotReleased
from migrator.states import Hold, State
from migrator.text import one_line

_THEN = "in HubSpot, then `migrator stage`; or `migrator amend`"
_NEVER_RELEASED = {
    Hold.NO_EMAIL: f"LeadGenius needs an e-mail: add it {_THEN}",
    Hold.INVALID_EMAIL: f"its e-mail is not valid: correct it {_THEN}",
    Hold.DOUBLED: (
        "delete all but the one to keep: `migrator undo --doubled`, "
        "or there, then `migrator verify`"
    ),
}
_VERIFIED_ONCE = "it was verified once, so its lead was deleted since"
_ALL_THE_SAME = "to send it again anyway: migrator retry --recreate"


def find_contacts(ledger: Ledger, named: str) -> list[int]:
    """
    The keys of the contacts with this HubSpot id or e-mail (see `lookup.find`).

    Raises:
        UsageError: there is none.
    """
    # Imported here because it loads slowly.
    from migrator.mapping import email_key

    if keys := ledger.lookup.find(named, email_key):
        return keys
    path, name = one_line(str(ledger.path)), one_line(named)
    if ledger.erasure.erased_at() is not None and "@" in named:
        raise UsageError(
            f"The ledger {path} contains no e-mails any more: they were erased.",
            "name the contact by its HubSpot id",
        )
    raise UsageError(
        f"No contact in the ledger {path} has the HubSpot id or the e-mail {name!r}.",
        "compare with HubSpot's Record ID; `migrator stage` reads what is new there",
    )


def why_not_released(reason: Hold | None, one: NotReleased) -> str:
    """Why `migrator retry` did not free a contact; `reason` = the value of `--reason`."""
    was, now = one.before, one.now
    if was.held is None:
        return f"it is not held; it is {was.state}"
    if reason is not None and was.held is not reason:
        return f"it is held as {was.held}, not as {reason}"
    if now.forgotten_ms is not None:
        return "it was forgotten, so it is never sent again"
    if was.held in _NEVER_RELEASED:
        return _NEVER_RELEASED[was.held]
    if now.held is Hold.DUPLICATE_EMAIL:
        return f"{now.detail or 'another contact has the same e-mail'}: one e-mail is one lead"
    if now.held is Hold.MISSING and now.state is State.VERIFIED:
        return f"{_VERIFIED_ONCE}; {_ALL_THE_SAME} {quote(now.hubspot_id)}"
    return f"it is held as {now.held}"
