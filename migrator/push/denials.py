"""Whom the service denied (401, 403, 404) in this run, while it let others through."""

from collections import defaultdict

from migrator.ledger import MAX_ATTEMPTS


class Denials:
    """
    Tells a contact that is denied from a service that denies everybody.

    The second one ends the run, and must not use up the attempts of whoever comes first.
    """

    def __init__(self) -> None:
        self._through = 0
        # contact key -> how many got through by the time of each of its denials
        self._denied: defaultdict[int, set[int]] = defaultdict(set)

    def got_through(self, key: int) -> None:
        """The contact's lead was created."""
        self._through += 1
        self._denied.pop(key, None)

    def are_enough(self, key: int) -> bool:
        """Whether the contact was denied so often, others getting through in between."""
        self._denied[key].add(self._through)
        if len(self._denied[key]) < MAX_ATTEMPTS:
            return False
        del self._denied[key]
        return True
