"""
The state machine: the states, the legal moves, the outcomes of a send, the reasons to hold.

`schema.sql` has the same names, so that the database refuses an illegal move; a test compares the
two.
"""

from enum import StrEnum


class State(StrEnum):
    """The state of a contact. Each comment says what moves it on and what a crash leaves behind."""

    # Read from HubSpot; its page, companies and cursor were committed together. `stage` maps it. A
    # crash repeats at most that one page, and an upsert of the same contact changes nothing.
    EXTRACTED = "extracted"

    # Its lead is built and free to be sent. `push` claims it by committing an attempt before the
    # first byte leaves. A crash leaves it mapped with that attempt open: in doubt, to be settled by
    # a listing, never by sending again.
    MAPPED = "mapped"

    # LeadGenius holds its lead and the ledger holds the lead's id. `verify` moves it on. A crash
    # here loses nothing: verifying again repeats a listing, which only reads.
    POSTED = "posted"

    # A complete listing showed its lead with every field that was sent. `update` moves it back to
    # posted, and `undo` and `retry` to mapped.
    VERIFIED = "verified"


MOVES: frozenset[tuple[State, State]] = frozenset(
    {
        (State.EXTRACTED, State.MAPPED),
        (State.MAPPED, State.EXTRACTED),  # the contact or the rules changed: map again
        (State.MAPPED, State.POSTED),
        (State.POSTED, State.VERIFIED),
        # Verified to be absent, and the user asked to send again; or undone.
        (State.POSTED, State.MAPPED),
        (State.VERIFIED, State.MAPPED),  # its lead was deleted, by LeadGenius's users or by undo
        (State.VERIFIED, State.POSTED),  # its lead was updated: to be verified again
    }
)


class WriteKind(StrEnum):
    """What an attempt writes at LeadGenius."""

    CREATE = "create"  # POST
    UPDATE = "update"  # PUT
    DELETE = "delete"  # DELETE


class Outcome(StrEnum):
    """
    How an attempt ended. An attempt without one is in flight or in doubt (design, I2).

    The answers that prove that nothing was created are four, because what comes next differs.
    """

    CREATED = "created"  # 2xx and a lead id
    REFUSED = "refused"  # the service said no to this lead: 400, 413, 422
    DENIED = "denied"  # the service said no to us: 401, 403, 404
    THROTTLED = "throttled"  # 429
    UNSENT = "unsent"  # it never left: DNS, refused, connect time-out, TLS
    FOUND = "found"  # was in doubt; a listing showed that it was done
    ABSENT = (
        "absent"  # was in doubt; a complete listing begun after `settle` showed that it was not
    )
    UPDATED = "updated"  # an update: 2xx
    EDITED = "edited"  # an update in doubt; a listing showed neither old nor new values
    DELETED = "deleted"  # a delete: 2xx, or there is no such lead


# The write was done.
DONE = frozenset({Outcome.CREATED, Outcome.UPDATED, Outcome.DELETED, Outcome.FOUND})


class Hold(StrEnum):
    """Why a contact is held. It keeps its state; `migrator retry` releases it."""

    NO_EMAIL = "no_email"
    INVALID_EMAIL = "invalid_email"
    DUPLICATE_EMAIL = "duplicate_email"  # another contact with the same e-mail is the one to send
    ALREADY_IN_DESTINATION = "already_in_destination"  # a lead that is not ours has its e-mail
    REFUSED = "refused"  # with LeadGenius's answer
    GAVE_UP = "gave_up"  # after the last attempt
    MISSING = "missing"  # posted, but a complete listing does not show it
    DIFFERENT = "different"  # posted, but a field at the destination is not the one sent
    DOUBLED = "doubled"  # posted, and a complete listing shows more than one lead of it
    CONFLICT = "conflict"  # posted; HubSpot and LeadGenius's users changed the same field
    GONE = "gone"  # not sent, and HubSpot has it no more
    UNDONE = "undone"  # its lead was deleted by `undo`
