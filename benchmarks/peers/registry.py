"""
Who the peers are: the packages, their scripts, and how each is told what to do.

Their scripts stand in `scripts/`, each as short as its own documentation would have it. They run in
environments of their own; none is imported here.
"""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Running
from benchmarks.peers.environments import environment
from benchmarks.workspace import Workplace

_SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class Peer:
    """
    Somebody else's way.

    Args:
        package: What pip installs.
        script: In `scripts/`, without its ending.
        words: What it is told, in turn: each but the last is preparation, and is not killed.
        share: How much of the contacts it is given, where it would take too long.
        killed_share: The same, where it is killed.
    """

    name: str
    package: str
    script: str
    words: tuple[str, ...] = ("",)
    share: float = 1.0
    killed_share: float = 1.0

    def start(self, place: Workplace, words: str) -> Running:
        """One process of it."""
        path = _SCRIPTS / f"{self.script}.py"
        return place.start_script(environment(self.package).python, path, *words.split())

    def called(self) -> str:
        """Its name with the version that was measured."""
        return f"{self.name} {environment(self.package).version}"


STAGING = (
    Peer("dlt", "dlt[sqlalchemy]", "stage_dlt"),
    Peer("HubSpot's SDK", "hubspot-api-client", "stage_sdk"),
)
SENDING = (
    Peer("DBOS", "dbos", "push_dbos", ("{bodies} {workers}",), share=0.1),
    Peer("huey", "huey", "push_huey", ("enqueue {bodies}", "work {workers}")),
    Peer(
        "the guide's loop, requests",
        "requests",
        "push_guide",
        ("{bodies}",),
        share=0.02,
        killed_share=0.1,
    ),
)
