"""The order of the steps in `deploy/kubernetes/journey.yaml`, played with plain processes."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from benchmarks.judge import posts
from migrator.sandbox import Sandbox
from tests import ROOT
from tests.support.processes import Operator, Process, ended, eventually, kill

LITESTREAM = shutil.which("litestream", path=Path(sys.executable).parent) or shutil.which(
    "litestream"
)
MANIFESTS = yaml.safe_load_all((ROOT / "deploy/kubernetes/journey.yaml").read_text("utf-8"))
POD = next(one for one in MANIFESTS if one["kind"] == "Job")["spec"]["template"]["spec"]
RESTORE, REPLICATE = POD["initContainers"]
(MIGRATOR,) = POD["containers"]
# A portal of that size moves in some seconds then.
OPTIONS = "--settle 1 --timeout 5 --canary 0 --workers 4"

pytestmark = pytest.mark.skipif(LITESTREAM is None, reason="litestream is not installed")


class Pod:
    """The containers of the Job, on a volume that may have been used before."""

    def __init__(self, volume: Path, replica: Path, sandbox: Sandbox) -> None:
        volume.mkdir(exist_ok=True)
        self.operator = Operator(volume, sandbox)
        self._places = {"/state": str(volume), "s3://backup/migrator/acme": f"file://{replica}"}

    def restore(self) -> None:
        """Run the init container to its end."""
        subprocess.run([str(LITESTREAM), *self._args(RESTORE)], check=True, capture_output=True)

    @contextmanager
    def replicating(self) -> Iterator[None]:
        """The sidecar at work; killed at the end, as its node is."""
        command = [str(LITESTREAM), *self._args(REPLICATE)]
        nowhere = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=nowhere, stderr=nowhere) as process:
            try:
                yield
            finally:
                process.kill()

    def start(self, rate: str) -> Process:
        """Start the migrator's container."""
        words = f"{' '.join(self._args(MIGRATOR))} {OPTIONS} --rate {rate}"
        variables = {one["name"]: self._here(one["value"]) for one in MIGRATOR["env"]}
        return self.operator.start(words, **variables)

    def _args(self, container: dict[str, list[str]]) -> list[str]:
        return [self._here(one) for one in container["args"]]

    def _here(self, text: str) -> str:
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text


def intents(pod: Pod) -> int:
    """How many the ledger has; 0 = it has no such table yet, too."""
    ledger = pod.operator.ledger
    return int(pod.operator.ask("SELECT intents FROM ledger")[0][0]) if ledger.exists() else 0


def ends_well(pod: Pod) -> None:
    """The pod's migrator ends with success, and everything is there once."""
    with pod.replicating():
        done = ended(pod.start("max"))
    assert done.code == 0, done
    verdict = pod.operator.sandbox.verdict()
    assert verdict.ok, verdict.as_json()


def test_the_next_pod_goes_on_where_the_volume_is_kept(sandbox, tmp_path):
    box = sandbox(contacts=120)
    first = Pod(tmp_path / "volume", tmp_path / "replica", box)
    first.restore()  # there is no replica yet, which is no failure
    with first.replicating():
        migrator = first.start("600")
        eventually(lambda: len(posts(box)) >= 15, "some sends")
        kill(migrator)
    second = Pod(tmp_path / "volume", tmp_path / "replica", box)
    left = intents(second)
    second.restore()
    assert intents(second) == left > 0
    ends_well(second)


def test_the_next_pod_goes_on_from_a_replica_that_is_some_sends_behind(sandbox, tmp_path):
    box = sandbox(contacts=120)
    first = Pod(tmp_path / "volume", tmp_path / "replica", box)
    with first.replicating():
        migrator = first.start("600")
        probe = Pod(tmp_path / "probe", tmp_path / "replica", box)

        def is_replicated() -> bool:
            shutil.rmtree(tmp_path / "probe", ignore_errors=True)
            (tmp_path / "probe").mkdir()
            probe.restore()
            return intents(probe) > 0

        eventually(lambda: bool(posts(box)), "a send")
        eventually(is_replicated, "a replica with intents")
    sent = len(posts(box))
    eventually(lambda: len(posts(box)) >= sent + 10, "sends that no replica has")
    kill(migrator)
    second = Pod(tmp_path / "other-volume", tmp_path / "replica", box)
    second.restore()
    assert 0 < intents(second) < intents(first)
    ends_well(second)
