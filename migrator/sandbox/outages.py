"""
Outages: everything under a path is answered alike, whoever asks, until they are over.

Owns the list of them. Other than a fault, an outage strikes before anybody looks at the call.
"""

from collections.abc import Mapping

from migrator.sandbox.messages import HANG, Answer, Call, ConnectionEnd


class Outages:
    """The outages that last at the moment."""

    def __init__(self) -> None:
        self._lasting: list[tuple[str, str, Answer]] = []

    def begin(
        self,
        method: str,
        path: str,
        status: int | None,
        body: bytes,
        headers: Mapping[str, str],
        ending: ConnectionEnd,
    ) -> None:
        """Answer so what begins like this; a status of None says nothing at all."""
        answer = Answer(status or 0, body, tuple(headers.items()), ending=ending)
        if status is None:
            answer = HANG
        self._lasting.append((method, path, answer))

    def clear(self) -> None:
        """End all of them."""
        self._lasting.clear()

    def answer(self, call: Call) -> Answer | None:
        """The answer to a call that suffers; None when none does."""
        for method, path, answer in self._lasting:
            if call.method.startswith(method) and call.path.startswith(path):
                call.fault = "outage"
                return answer
        return None
