"""
The ledger: all SQL, one method for each question or move, and nobody else's.

Rooms never hand things to each other; they leave them here for the next. The methods stand in small
modules by what they are about; `Ledger` is where they are reached:

    ledger.journey    what it is bound to, runs, where sweeps stand
    ledger.contacts   extracted, mapped, held, released
    ledger.mappings   the rules by which leads were built
    ledger.attempts   intents, outcomes, doubts
    ledger.listing    what a listing of the client means before the first send
    ledger.verification  what a verification saw, and what follows from it
    ledger.figures    what a report asks
    ledger.history    every move and send, counted
    ledger.forgetting the people taken out, the proof kept
    ledger.amending   what a person put in the place of HubSpot's values
    ledger.stories    single contacts: found, and all that is known of them
    ledger.plans      what a push would find
    ledger.releasing  contacts freed on a person's word
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from migrator.errors import MigratorError
from migrator.ledger.amendments import Amended, Amending, Standing
from migrator.ledger.attempts import (
    MAX_ATTEMPTS,
    Attempts,
    Changed,
    Doubt,
    Ending,
    Intent,
    Sendable,
)
from migrator.ledger.contacts import Contacts
from migrator.ledger.counts import Edited, Figures, HeldContact, Person, Run, Sum
from migrator.ledger.database import Database
from migrator.ledger.erasure import Forgetting, Unfinished
from migrator.ledger.files import is_file_of
from migrator.ledger.forecast import Alike, Plans, Recognised, Rivalry
from migrator.ledger.integrity import refuse_damaged_values, schema, statements
from migrator.ledger.lookup import Attempt, Brief, Event, Origin, Stories
from migrator.ledger.mappings import Kept, Mappings
from migrator.ledger.opening import (
    SCHEMA_VERSION,
    at_rest,
    is_locked,
    open_for_reading,
    open_for_work,
    worker,
)
from migrator.ledger.reconcile import Listed, Listing
from migrator.ledger.records import Built, Extracted, Known, Page, Rejected, ToMap
from migrator.ledger.releasing import Released, Releasing, Stayed
from migrator.ledger.runs import Binding, Checkpoint, Journey
from migrator.ledger.statistics import Arrivals, History, Move, Sends
from migrator.ledger.verification import (
    Doubled,
    Owner,
    Sighting,
    Unclaimed,
    Unknown,
    Verdict,
    Verification,
)

__all__ = [
    "MAX_ATTEMPTS",
    "SCHEMA_VERSION",
    "Alike",
    "Amended",
    "Arrivals",
    "Attempt",
    "Attempts",
    "Binding",
    "Brief",
    "Built",
    "Changed",
    "Checkpoint",
    "Doubled",
    "Doubt",
    "Edited",
    "Ending",
    "Event",
    "Extracted",
    "HeldContact",
    "Intent",
    "Kept",
    "Known",
    "Ledger",
    "Listed",
    "Move",
    "Origin",
    "Owner",
    "Page",
    "Person",
    "Recognised",
    "Rejected",
    "Released",
    "Rivalry",
    "Run",
    "Sendable",
    "Sends",
    "Sighting",
    "Standing",
    "Stayed",
    "Sum",
    "ToMap",
    "Unclaimed",
    "Unfinished",
    "Unknown",
    "Verdict",
    "at_rest",
    "is_file_of",
    "is_locked",
    "schema",
    "statements",
    "worker",
]


class Ledger:
    """One open ledger file; see the module for its parts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.journey = Journey(database)
        self.contacts = Contacts(database, self.journey)
        self.mappings = Mappings(database, self.journey)
        self.attempts = Attempts(database, self.contacts)
        self.listing = Listing(database)
        self.verification = Verification(database, self.journey)
        self.figures = Figures(database)
        self.history = History(database)
        self.forgetting = Forgetting(database)
        self.amending = Amending(database, self.contacts)
        self.stories = Stories(database)
        self.plans = Plans(database)
        self.releasing = Releasing(database, self.contacts, self.stories)

    @property
    def path(self) -> Path:
        """The ledger's file."""
        return self._database.path

    def decoded(self, text: str) -> Any:
        """The value of a JSON text that came out of the ledger; raises LedgerError if it rots."""
        return self._database.decoded(text)

    def transaction(self) -> AbstractContextManager[None]:
        """Commit several moves together: all of them, or none."""
        return self._database.transaction()

    def check_lock(self) -> None:
        """
        Go on only while the lock would keep another process out; any thread may ask.

        Raises:
            LedgerBusy: its file was deleted or replaced.
        """
        self._database.check_lock()

    @contextmanager
    def suspected(self) -> Iterator[None]:
        """
        An unforeseen failure meanwhile is a bug only if the file holds what we wrote.

        Raises:
            LedgerError: the file is damaged, so whatever failed did so for that.
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
    def at_work(cls, path: Path) -> Iterator["Ledger"]:
        """
        Open it to work on it; it is made when there is none, and nobody else works on it meanwhile.

        Raises:
            LedgerBusy: another process works on it.
            LedgerError: the file cannot be used.
        """
        database = open_for_work(path)
        try:
            ledger = cls(database)
            with ledger.suspected():
                yield ledger
        finally:
            database.close()

    @classmethod
    @contextmanager
    def for_reading(cls, path: Path) -> Iterator["Ledger"]:
        """
        Open it to look at it; a process at work on it is neither awaited nor disturbed.

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
