"""
The right to send for a journey: everything that is asked before an intent may leave.

It is held in this order: the lock of the journey, the place of the ledger, the fence where there is
one. The ledger's own locks are held already (`ledger.lock`).
"""

from collections.abc import Callable
from pathlib import Path

from migrator.errors import LedgerBusy, LedgerElsewhere, RunAgain
from migrator.journey.fence import Fence
from migrator.journey.journey_lock import JourneyLock
from migrator.journey.place import Place, PlaceRecord, Recorded, is_elsewhere
from migrator.ledger import Origin

LOCK_TIMEOUT_SECONDS = 3.0


class Sender:
    """
    The right to send, once `hold` has returned. `check` may be called from any thread.

    Args:
        folder: The state folder.
        key: See `journey_key`.
        ledger: The ledger's file.
        command: The command, as it is typed after `migrator`.
        check_ledger: Raises LedgerBusy unless the ledger's own locks are still in place.

    Attributes:
        owes_looks: Whether looks are owed before anything is sent: after a take-over, after another
            ledger of this journey or a newer state of this one, or because foreign leads were seen.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        ledger: Path,
        origin: Origin,
        command: str,
        check_ledger: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._origin = origin
        self._command = command
        self._check_ledger = check_ledger
        self._lock = JourneyLock(folder, key)
        self._record = PlaceRecord(folder, origin.uid)
        self._fence: Fence | None = None
        self._intents = origin.intents
        self.owes_looks = False

    def hold(self, *, is_taken_over: bool, fence: Callable[[], Fence] | None = None) -> None:
        """
        Hold the lock, find the ledger at its place or take it over, hold the fence.

        Args:
            is_taken_over: Whether the user says that nothing works at the other place any more.
            fence: Takes the fence; with one, another place is no reason to stop, because the fence
                tells who is at work.

        Raises:
            LedgerBusy: another process or machine sends for this journey.
            LedgerElsewhere: the ledger worked elsewhere last.
            NotReady: the state folder or the fence cannot be used.
        """
        origin = self._origin
        self._lock.acquire(LOCK_TIMEOUT_SECONDS)
        try:
            self._fence = fence() if fence else None
            recorded, here = self._record.read(), Place.of(self._ledger)
            is_moved = is_elsewhere(recorded, here, origin.intents)
            if is_moved and not is_taken_over and self._fence is None:
                raise self._elsewhere(recorded)
            follows_another = self._lock.last_ledger not in ("", origin.uid)
            # A copy from before the first send has no place, but another file of it has sent.
            is_behind = recorded is not None and recorded.intents > origin.intents
            owed = recorded is not None and recorded.owes_looks
            epoch = 0 if self._fence is None else self._fence.epoch
            # Another machine held the fence since: what it sent last may not be listed yet.
            was_fenced = epoch > 1 and (recorded is None or recorded.epoch != epoch - 1)
            self.owes_looks = is_moved or is_behind or follows_another or owed or was_fenced
            # Until it is written, a kill leaves the old record, and the next start asks again.
            self._record.begin(Recorded(here, origin.intents, self.owes_looks, epoch))
            self._lock.write_holder(origin.uid, self._command, self._ledger.parent)
            self.check()  # what it opens, it opens before the workers need their sockets
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """
        Go on only while nothing else may send for this journey; asked right before each send.

        Raises:
            LedgerBusy: a lock is not in place any more, or the fence is lost.
        """
        self._check_ledger()
        if not self._lock.is_in_place():
            raise LedgerBusy(
                "Another process may send for this journey: the lock in the state folder was "
                "deleted or replaced.",
                RunAgain("let the other one end, then: "),
            )
        if self._fence is not None:
            self._fence.check()

    def record_intents(self, intents: int) -> None:
        """Write how many intents the ledger has; called after their commit, before they leave."""
        self._intents = intents
        self._record.update(intents, self.owes_looks)

    def owe_looks(self, is_owed: bool) -> None:
        """Record durably that looks are owed, or that a quiet look was the last."""
        self.owes_looks = is_owed
        self._record.update(self._intents, is_owed)

    def close(self) -> None:
        """Let the next sender in; nothing of this one may be under way any more."""
        self._record.close()
        if self._fence is not None:
            self._fence.close()
        self._lock.release()

    def _elsewhere(self, recorded: Recorded | None) -> LedgerElsewhere:
        where = "elsewhere"
        if recorded is not None:
            where = f"in {Path(recorded.place.path).parent} on {recorded.place.host}"
        elif self._origin.folder:
            where = f"in {self._origin.folder} on {self._origin.host}"
        return LedgerElsewhere(
            f"The ledger {self._ledger} was last worked on {where}. This one is a copy, or was "
            "restored, replaced or moved, so it may not know what was sent since.",
            "if nothing sends there any more: the same command with --take-over, which looks "
            "before it sends; in a container, keep the state folder (XDG_STATE_HOME) on its volume",
        )
