"""What lies in `deploy/`: valid, and of one mind with the exit codes and the environment."""

import ast
import configparser
import re
from pathlib import Path

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
