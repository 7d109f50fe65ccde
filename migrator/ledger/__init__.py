"""
The ledger: the SQLite file with every contact, state, move and send. All SQL is here.

Each module is one subject with its types, queries and changes, reached through `Ledger`:

    ledger.runs            binding, runs, checkpoints of scans
    ledger.contacts        what extraction and mapping write
    ledger.source_moves    contacts that HubSpot has no more, and who succeeds them
    ledger.since_sent      what became of contacts since they were sent
    ledger.holds           holding and releasing contacts
    ledger.mappings        the mappings that built leads
    ledger.sendable        the contacts that may be sent, in several orders
    ledger.attempts        intents, outcomes, doubts
    ledger.updates         the base and the newer lead of sent contacts
    ledger.undoing         contacts whose leads are taken back
    ledger.reconciliation  what follows from a listing before the first send
    ledger.verification    what a verification saw, and what follows
    ledger.counts          counts for reports and plans, and the history
    ledger.lookup          single contacts
    ledger.probes          what probes found out about LeadGenius
    ledger.amendments      values that replace HubSpot's
    ledger.erasure         removal of personal data

Values come out decoded: no caller parses JSON of the ledger. Sentences for people are not written
here: those of errors are in `ledger_errors`, those of holds in `hold_details`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from migrator.errors import MigratorError
from migrator.ledger.amendments import AmendableContact, Amendment, Amendments
from migrator.ledger.attempts import (
    MAX_ATTEMPTS,
    AttemptResult,
    Attempts,
    Doubt,
    HoldsChanged,
    Intent,
)
from migrator.ledger.contacts import (
    ChangedLead,
    Contacts,
    ContactToMap,
    ExcludedContact,
    ExtractedContact,
    ExtractedPage,
    MappedContact,
    StoredContact,
)
from migrator.ledger.copies import write_copy
from migrator.ledger.counts import (
    Arrivals,
    Counts,
    DuplicatePair,
    EditedContact,
    HeldContact,
    HeldSource,
    MoveCount,
    ProvenanceGroup,
    Sends,
    StateCount,
)
from migrator.ledger.database import Database
from migrator.ledger.erasure import ErasableContact, Erasure, Obstacle, Unfinished
from migrator.ledger.files import is_file_of, real_path
from migrator.ledger.foreign import ForeignLeads
from migrator.ledger.holds import Holds, NotReleased, Released
from migrator.ledger.integrity import refuse_damaged_values, schema, statements
from migrator.ledger.lead_owners import MatchedContact
from migrator.ledger.lookup import (
    ContactSummary,
    GoneContact,
    Lookup,
    Provenance,
    SendAttempt,
    StateChange,
)
from migrator.ledger.mappings import Mappings, StoredMapping
from migrator.ledger.opening import (
    SCHEMA_VERSION,
    exclusive,
    is_locked,
    lock_holder,
    open_for_reading,
    open_for_work,
)
from migrator.ledger.probes import Probes
from migrator.ledger.reconcile import LeadIdentity, ListingMatches, Reconciliation
from migrator.ledger.runs import Binding, Checkpoint, Origin, Run, Runs
from migrator.ledger.sendable import ContactToSend, LeadToProfile, Sendable
from migrator.ledger.since_sent import ConflictedContact, LeadVersions, SinceSent
from migrator.ledger.source_moves import SourceMoves
from migrator.ledger.undoing import SentContact, UndoChoice, Undoing, UnsentContact
from migrator.ledger.updates import ChangedContact, Updates, UpdateTaken
from migrator.ledger.verification import (
    DuplicateLeads,
    SeenLead,
    UnclaimedLead,
    UnknownLead,
    Verification,
)

__all__ = [
    "MAX_ATTEMPTS",
    "SCHEMA_VERSION",
    "AmendableContact",
    "Amendment",
    "Arrivals",
    "AttemptResult",
    "Attempts",
    "Binding",
    "ChangedContact",
    "ChangedLead",
    "Checkpoint",
    "ConflictedContact",
    "ContactSummary",
    "ContactToMap",
    "ContactToSend",
    "Doubt",
    "DuplicateLeads",
    "DuplicatePair",
    "EditedContact",
    "ErasableContact",
    "ExcludedContact",
    "ExtractedContact",
    "ExtractedPage",
    "GoneContact",
    "HeldContact",
    "HeldSource",
    "HoldsChanged",
    "Intent",
    "LeadIdentity",
    "LeadToProfile",
    "LeadVersions",
    "Ledger",
    "ListingMatches",
    "MappedContact",
    "MatchedContact",
    "MoveCount",
    "NotReleased",
    "Obstacle",
    "Origin",
    "Provenance",
    "ProvenanceGroup",
    "Released",
    "Run",
    "SeenLead",
    "SendAttempt",
    "Sends",
    "SentContact",
    "StateChange",
    "StateCount",
    "StoredContact",
    "StoredMapping",
    "UnclaimedLead",
    "UndoChoice",
    "Unfinished",
    "UnknownLead",
    "UnsentContact",
    "UpdateTaken",
    "exclusive",
    "is_file_of",
    "is_locked",
    "lock_holder",
    "real_path",
    "schema",
    "statements",
]


class Ledger:
    """An open ledger file; its parts are described above."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.runs = Runs(database)
        self.lookup = Lookup(database)
        self.holds = Holds(database, self.runs, self.lookup)
        self.source_moves = SourceMoves(database, self.holds)
        self.contacts = Contacts(database, self.runs, self.source_moves)
        self.mappings = Mappings(database, self.runs)
        self.sendable = Sendable(database)
        self.updates = Updates(database)
        self.undoing = Undoing(database)
        self.attempts = Attempts(database, self.holds, self.source_moves, self.updates)
        self.reconciliation = Reconciliation(database, self.source_moves)
        self.foreign = ForeignLeads(database)
        self.probes = Probes(database)
        self.verification = Verification(database, self.runs)
        self.counts = Counts(database)
        self.since_sent = SinceSent(database)
        self.erasure = Erasure(database)
        self.amendments = Amendments(database, self.contacts)

    @property
    def path(self) -> Path:
        """The ledger's file."""
        return self._database.path

    def on_intents(self, call: Callable[[int], None]) -> None:
        """Call this with the number of intents after each commit of some, before they may leave."""
        self._database.on_intents = call

    def transaction(self) -> AbstractContextManager[None]:
        """Commit several changes together, or none of them."""
        return self._database.transaction()

    def copy_to(self, target: Path, pause: Callable[[], None] = lambda: None) -> None:
        """Write a copy for another journey; see `write_copy`."""
        write_copy(self._database, target, pause)

    def check_lock(self) -> None:
        """
        Check that no other process works on the ledger, or may begin to; callable from any thread.

        Raises:
            LedgerBusy: the lock's file was deleted or replaced, or a newer run has begun.
        """
        self._database.check_lock()
        self._database.check_newest_run()

    @contextmanager
    def suspected(self) -> Iterator[None]:
        """
        Check the file after an unexpected failure, which may be damage instead of a bug.

        Raises:
            LedgerError: the file is damaged.
        """
        try:
            yield
        except (MigratorError, OSError, MemoryError):
            raise
        except Exception:
            self._database.look_through(refuse_damaged_values)
            raise

    @classmethod
    @contextmanager
    def open_for_work(cls, path: Path, *, creates: bool = True) -> Iterator["Ledger"]:
        """
        Open the ledger to work on it, under its lock.

        Args:
            creates: Whether to create the file if there is none.

        Raises:
            LedgerBusy: another process works on it.
            LedgerError: the file cannot be used.
        """
        database = open_for_work(path, creates=creates)
        try:
            ledger = cls(database)
            with ledger.suspected():
                yield ledger
        finally:
            database.close()

    @classmethod
    @contextmanager
    def open_read_only(cls, path: Path) -> Iterator["Ledger"]:
        """
        Open the ledger read-only, without waiting for or blocking another process.

        Raises:
            LedgerError: there is none, or it cannot be used.
        """
        database = open_for_reading(path)
        try:
            ledger = cls(database)
            with ledger.suspected():
                yield ledger
        finally:
            database.close()
