"""What lies in `deploy/`: valid, and of one mind with the exit codes and the environment."""

import ast
import configparser
import re
import runpy
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest
import yaml

from migrator.errors import ExitCode
from migrator.fleet import FleetJourney
from migrator.fleet.environment import environment_of
from tests import ROOT

DEPLOY = ROOT / "deploy"
FINAL = {ExitCode.USAGE, ExitCode.NOT_READY, ExitCode.LEDGER}
AGAIN = {4, 6, 70, 130, 143}
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes/journey.yaml").read_text("utf-8")))
JOB = next(one["spec"] for one in MANIFESTS if one["kind"] == "Job")
POD = JOB["template"]["spec"]
(MIGRATOR,) = POD["containers"]
# The names that the DAG's file assigns at its top, with the expressions.
DAG = {
    target.id: one.value
    for one in ast.parse((DEPLOY / "airflow/migrator_fleet.py").read_text("utf-8")).body
    if isinstance(one, ast.Assign)
    for target in one.targets
    if isinstance(target, ast.Name)
}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: one["kind"])
def test_each_manifest_is_valid_in_the_newest_version(manifest) -> None:
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_a_volume_is_in_one_pod_at_a_time_and_the_next_pod_waits_for_the_end_of_the_old() -> None:
    claim = next(one for one in MANIFESTS if one["kind"] == "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert JOB["podReplacementPolicy"] == "Failed"
    assert POD["restartPolicy"] == "Never"
    assert "--take-over" in MIGRATOR["args"]  # which stands on the three above


def test_the_pod_failure_policy_knows_each_exit_code() -> None:
    rules = {
        rule["action"]: set(rule["onExitCodes"]["values"])
        for rule in JOB["podFailurePolicy"]["rules"]
        if "onExitCodes" in rule
    }
    assert rules == {"FailJob": FINAL, "Count": AGAIN | {137}}
    assert {int(code) for code in ExitCode} <= {0, 1} | FINAL | AGAIN
    assert "--attention-ok" in MIGRATOR["args"]  # so that 1 is never met


def test_ledger_and_state_lie_on_the_volume_and_on_its_replica() -> None:
    restore, replicate = POD["initContainers"]
    assert replicate["restartPolicy"] == "Always"  # a sidecar
    mounted = {one["name"]: one["mountPath"] for one in MIGRATOR["volumeMounts"]}
    ledger = MIGRATOR["args"][MIGRATOR["args"].index("--ledger") + 1]
    assert Path(ledger).parent == Path(mounted["state"])
    assert {"name": "XDG_STATE_HOME", "value": mounted["state"]} in MIGRATOR["env"]
    assert restore["args"][-2] == ledger
    assert replicate["args"] == ["replicate", ledger, restore["args"][-1]]
    assert {"-if-db-not-exists", "-if-replica-exists"} <= set(restore["args"])


def test_nothing_in_the_pod_runs_as_root_or_in_a_shell() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    for one in [*POD["initContainers"], MIGRATOR]:
        assert one["securityContext"]["allowPrivilegeEscalation"] is False
        assert "command" not in one
    image = (DEPLOY / "kubernetes/Containerfile").read_text("utf-8")
    assert image.splitlines()[-1] == 'ENTRYPOINT ["migrator"]'
    assert re.search(r"^USER \d+:\d+$", image, re.MULTILINE)


def test_nothing_starts_migrator_below_litestream() -> None:
    for path in filter(Path.is_file, DEPLOY.rglob("*")):
        if path.suffix not in (".md", ".pyc"):
            lines = path.read_text("utf-8").splitlines()
            assert not [one for one in lines if "-exec" in one.partition("#")[0]], path


def test_the_unit_knows_each_exit_code() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DEPLOY / "systemd/migrator@.service", encoding="utf-8")
    service = unit["Service"]
    assert service["SuccessExitStatus"] == "1"
    assert {int(one) for one in service["RestartPreventExitStatus"].split()} == FINAL
    assert service["Restart"] == "on-failure"
    assert service["User"] != "root"


def test_the_dag_is_short_and_fails_for_good_where_a_person_is_needed() -> None:
    text = (DEPLOY / "airflow/migrator_fleet.py").read_text("utf-8")
    assert len(text.splitlines()) <= 100
    assert ast.literal_eval(DAG["FINAL"]).keys() == FINAL
    assert "import migrator" not in text


class Dag:
    """
    The DAG's file, run with stand-ins for the four names that it takes from Airflow.

    `python -m benchmarks.airflow_dag` runs it in Airflow itself.
    """

    class FailedForGood(Exception):
        """AirflowFailException: the task is not tried again."""

    class Failed(Exception):
        """AirflowException: the task is tried again."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.dag: dict[str, Any] = {}
        self.folder = folder
        tables = []
        for name, login in (("acme", "main"), ("globex", "other"), ("initech", "main")):
            (folder / name).mkdir()
            (folder / name / ".env").write_text("", encoding="utf-8")
            tables.append(f'[[journey]]\nname = "{name}"\nfolder = "{name}"\nlogin = "{login}"\n')
        (folder / "fleet.toml").write_text("\n".join(tables), encoding="utf-8")
        program = folder / "program"
        program.write_text('#!/bin/sh\nenv > seen\necho "$@" > words\neval "$(cat ../end)"\n')
        program.chmod(0o755)
        patch.setenv("MIGRATOR_FLEET", str(folder / "fleet.toml"))
        patch.setenv("MIGRATOR_PROGRAM", str(program))
        patch.setenv("OF_AIRFLOW", "a secret")
        sdk, errors = ModuleType("airflow.sdk"), ModuleType("airflow.sdk.exceptions")
        vars(sdk).update(DAG=self._begin, task=self._task)
        vars(errors).update(AirflowException=self.Failed, AirflowFailException=self.FailedForGood)
        for module in (ModuleType("airflow"), sdk, errors):
            patch.setitem(sys.modules, module.__name__, module)
        self.file = runpy.run_path(str(DEPLOY / "airflow/migrator_fleet.py"))

    def _begin(self, name: str, **options: Any) -> AbstractContextManager[None]:
        self.dag = {"name": name, **options}
        return nullcontext()

    def _task(self, **options: Any) -> Callable[[Callable[..., Any]], SimpleNamespace]:
        def expand(journey: list[dict[str, Any]]) -> None:
            self.tasks.append({**options, "journeys": [one["name"] for one in journey]})

        return lambda run: SimpleNamespace(expand=expand)

    def run(self, end: str) -> Any:
        """Run the journey "acme", whose command does this at its end."""
        (self.folder / "end").write_text(end)
        return self.file["run"]({"name": "acme", "folder": "acme", "login": "main"})


@pytest.fixture
def dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dag:
    return Dag(tmp_path, monkeypatch)


def test_the_dag_has_a_task_with_a_pool_for_each_login(dag: Dag) -> None:
    told = {one["task_id"]: (one["pool"], one["journeys"], one["retries"]) for one in dag.tasks}
    assert told == {
        "run-main": ("migrator-main", ["acme", "initech"], 10),
        "run-other": ("migrator-other", ["globex"], 10),
    }
    assert dag.dag["max_active_runs"] == 1


@pytest.mark.parametrize("code", sorted({int(code) for code in ExitCode} | {-9, -15}))
def test_the_dag_takes_each_end_as_the_contract_says(dag: Dag, code: int) -> None:
    end = f"exit {code}" if code >= 0 else f"kill {code} $$"
    if code in (0, 1):
        assert dag.run(end) == {"journey": "acme", "needs_attention": code == 1}
    else:
        with pytest.raises(dag.FailedForGood if code in FINAL else dag.Failed, match=str(code)):
            dag.run(end)


def test_a_journey_of_the_dag_sees_nothing_of_airflow_and_ends_with_its_task(dag: Dag) -> None:
    dag.run("exit 0")
    assert "OF_AIRFLOW" not in (dag.folder / "acme" / "seen").read_text()
    words = (dag.folder / "acme" / "words").read_text().split()
    assert words == ["run", "--json", "--die-with-parent"]


def test_a_line_that_airflow_cannot_decode_ends_no_journey_of_the_dag(dag: Dag) -> None:
    assert dag.run("printf 'caf\\351\\n'; exit 0") == {"journey": "acme", "needs_attention": False}


@pytest.mark.parametrize(
    ("text", "names_one"),
    [
        ("LEADGENIUS_AUTH_FILE=mine.json\n", True),
        ("A=1\n  export LEADGENIUS_AUTH_FILE = 'mine.json'\n", True),
        ("\ufeffLEADGENIUS_AUTH_FILE=mine.json\n", True),
        ("# LEADGENIUS_AUTH_FILE=mine.json is not needed here\n", False),
        ("MY_LEADGENIUS_AUTH_FILE=mine.json\n", False),
        ("LEADGENIUS_AUTH_FILE=\nA=1\n", False),
        ("LEADGENIUS_AUTH_FILE=''\n", False),
    ],
)
def test_dag_and_fleet_give_a_journey_a_login_file_unless_its_env_names_one(
    dag: Dag, text: str, names_one: bool
) -> None:
    folder = dag.folder / "acme"
    (folder / ".env").write_text(text, encoding="utf-8")
    given = {"LEADGENIUS_AUTH_FILE": f"{folder}/.leadgenius_auth.json"}
    expected = {} if names_one else given
    assert environment_of(FleetJourney("acme", folder, "main"), {}) == expected
    handed = dag.file["environment"](folder)
    assert {name: handed[name] for name in given if name in handed} == expected


def test_the_dag_hands_on_what_the_fleet_hands_on(tmp_path: Path) -> None:
    compiled = DAG["HANDED_ON"]
    assert isinstance(compiled, ast.Call)
    pattern = re.compile(ast.literal_eval(compiled.args[0]))
    (tmp_path / ".env").write_text("", encoding="utf-8")
    named = (
        "PATH HOME LANG LC_ALL LC_TIME TZ TMPDIR XDG_STATE_HOME MIGRATOR_FENCE https_proxy "
        "NO_PROXY All_Proxy REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR "
        "HUBSPOT_ACCESS_TOKEN LEADGENIUS_PASSWORD LGP_API_KEY MIGRATOR_LEDGER PYTHONPATH PATHS"
    )
    offered = dict.fromkeys(named.split(), "x")
    journey = FleetJourney("acme", tmp_path, "main")
    handed = environment_of(journey, offered).keys() - {"LEADGENIUS_AUTH_FILE"}
    assert {name for name in offered if pattern.fullmatch(name)} == handed
