"""
The DAG of `deploy/airflow`, with journeys that end with each exit code.

`python -m benchmarks.airflow_dag --python PATH` runs `dag.test()` with the interpreter of an
environment that has Airflow, in an Airflow home of its own and with a stub in the place of
`migrator`, and compares the state and the number of tries of each task with what the contract says.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

DAG_FILE = Path(__file__).parents[1] / "deploy/airflow/migrator_fleet.py"
RETRIES = 10
SECRET = "no journey's business"  # noqa: S105

# The stub's exit codes, in order (the last one again and again; negative: it is killed by that
# signal) -> the state of the task, and its tries.
CASES: Mapping[tuple[int, ...], tuple[str, int]] = {
    (0,): ("success", 1),
    (1,): ("success", 1),
    (2,): ("failed", 1),
    (3,): ("failed", 1),
    (5,): ("failed", 1),
    (4, 0): ("success", 2),
    (6, 6, 0): ("success", 3),
    (70, 1): ("success", 2),
    (130, 0): ("success", 2),
    (143, 0): ("success", 2),
    (-9, 0): ("success", 2),
    (-15, 4, 3): ("failed", 3),
    (4,): ("failed", RETRIES + 1),
}

_STUB = """#!{python}
import json, os, pathlib, sys
done = pathlib.Path("tries")
tries = int(done.read_text()) if done.exists() else 0
done.write_text(str(tries + 1))
pathlib.Path("seen.json").write_text(json.dumps({{"argv": sys.argv[1:], "env": dict(os.environ)}}))
codes = json.loads(pathlib.Path("codes.json").read_text())
code = codes[min(tries, len(codes) - 1)]
print("a line of try", tries + 1, flush=True)
os.kill(os.getpid(), -code) if code < 0 else os._exit(code)
"""

# In Airflow's interpreter: the run of the DAG, then what became of each task, as JSON.
_TESTER = """
import json, os, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
from airflow.models import Pool
from airflow.utils.session import create_session
for login in ("first", "second"):
    Pool.create_or_update_pool("migrator-" + login, slots=4, description="", include_deferred=False)
import migrator_fleet
run = migrator_fleet.dag.test()
from airflow.models.taskinstance import TaskInstance
with create_session() as session:
    found = session.query(TaskInstance).filter(TaskInstance.run_id == run.run_id).all()
    told = [
        [one.task_id, one.map_index, one.state, one.try_number, one.pool] for one in found
    ]
print("RESULT " + json.dumps({"run": str(run.state), "tasks": told}))
"""


def play(python: Path, folder: Path) -> dict[str, tuple[str, int, str]]:
    """
    Run the DAG; returns state, tries and pool of each journey.

    Raises:
        SystemExit: Airflow itself failed; with what it printed.
    """
    stub = folder / "stub"
    stub.write_text(_STUB.format(python=sys.executable), encoding="utf-8")
    stub.chmod(0o755)
    tables, names = [], {}
    for number, codes in enumerate(CASES):
        login = ("first", "second")[number % 2]
        name = f"j{number}"
        home = folder / name
        home.mkdir()
        (home / ".env").write_text("HUBSPOT_ACCESS_TOKEN=x\n", encoding="utf-8")
        (home / "codes.json").write_text(json.dumps(codes), encoding="utf-8")
        tables.append(f'[[journey]]\nname = "{name}"\nfolder = "{name}"\nlogin = "{login}"\n')
        names[f"run-{login}", number // 2] = name
    (folder / "fleet.toml").write_text("\n".join(tables), encoding="utf-8")
    env = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAG_FILE.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "MIGRATOR_FLEET": str(folder / "fleet.toml"),
        "MIGRATOR_PROGRAM": str(stub),
        "MIGRATOR_RETRY_SECONDS": "0",
        "SECRET_OF_THE_SCHEDULER": SECRET,
    }
    for words in (["-m", "airflow", "db", "migrate"], ["-c", _TESTER, str(DAG_FILE)]):
        done = subprocess.run(  # noqa: S603
            [str(python), *words], env=env, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = (done.stdout + done.stderr)[-5000:]
            raise SystemExit(f"Airflow ended with {done.returncode}:\n{said}")
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("RESULT ")]
    told = json.loads(line.removeprefix("RESULT "))["tasks"]
    return {names[task, index]: (state, tries, pool) for task, index, state, tries, pool in told}


def faults(folder: Path, found: Mapping[str, tuple[str, int, str]]) -> list[str]:
    """What is not as the contract says."""
    wrong = []
    for number, (codes, (state, tries)) in enumerate(CASES.items()):
        name, login = f"j{number}", ("first", "second")[number % 2]
        wanted = (state, tries, f"migrator-{login}")
        if found.get(name) != wanted:
            wrong.append(f"{codes}: {found.get(name)}, not {wanted}")
        seen = json.loads((folder / name / "seen.json").read_text("utf-8"))
        if int((folder / name / "tries").read_text("utf-8")) != tries:
            wrong.append(f"{codes}: started another number of times than it was tried")
        if SECRET in json.dumps(seen):
            wrong.append(f"{codes}: it got a variable that is not of the contract")
        if "--die-with-parent" not in seen["argv"]:
            wrong.append(f"{codes}: it outlives the task")
    return wrong


def main() -> int:
    """Print a line for each case; 1 = one is not as the contract says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--python", type=Path, required=True, help="an interpreter with Airflow")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="airflow-dag-") as name:
        found = play(args.python, Path(name))
        wrong = faults(Path(name), found)
    for number, codes in enumerate(CASES):
        print(f"{codes}: {found.get(f'j{number}')}")
    print("\n".join(wrong) if wrong else "states and tries are exactly right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
