"""
The journeys of `fleet.toml` as mapped tasks: each is one `migrator run` a night (Airflow 3.3.1+).

Put this file into the DAGs folder, set MIGRATOR_FLEET to the path of `fleet.toml` and
MIGRATOR_PROGRAM to the installed program, and make a pool `migrator-LOGIN` for each login, whose
slots are how many of its journeys go at once. This file imports nothing of migrator, whose
libraries may be other ones than Airflow's.
"""

import logging
import os
import re
import subprocess
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

FLEET = Path(os.environ.get("MIGRATOR_FLEET", "/etc/migrator/fleet.toml"))
PROGRAM = os.environ.get("MIGRATOR_PROGRAM", "migrator")
RETRY_SECONDS = float(os.environ.get("MIGRATOR_RETRY_SECONDS", "60"))
NIGHTLY, START, RETRIES = "15 2 * * *", datetime(2026, 1, 1), 10

# What a child process gets of this one's environment; its own credentials it reads from its `.env`.
HANDED_ON = re.compile(
    r"PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|XDG_STATE_HOME|MIGRATOR_FENCE|REQUESTS_CA_BUNDLE|"
    r"CURL_CA_BUNDLE|SSL_CERT_FILE|SSL_CERT_DIR|(?i:(http|https|all|no)_proxy)"
)
OWN_LOGIN_FILE = r"""(?m)^\s*(export\s+)?LEADGENIUS_AUTH_FILE[^\S\n]*=[^\S\n]*['"]*[^\s'"]"""
DONE, NEEDS_ATTENTION = 0, 1
FINAL = {2: "usage", 3: "not ready", 5: "ledger"}  # a person has to change something first


def journeys() -> dict[str, list[dict[str, Any]]]:
    """The journeys of each login, as they stand in `fleet.toml`."""
    found: dict[str, list[dict[str, Any]]] = {}
    if FLEET.is_file():
        for one in tomllib.loads(FLEET.read_text(encoding="utf-8"))["journey"]:
            found.setdefault(one["login"], []).append(one)
    return found


def command(journey: dict[str, Any]) -> list[str]:
    """The command line of a journey; the task's try is the retry, so it takes over nothing."""
    words = [PROGRAM, "run", "--json", "--die-with-parent", *journey.get("options", [])]
    for key, option in (("mapping", "--mapping"), ("client_id", "--client-id")):
        if key in journey:
            value = journey[key]
            words += [option, str(FLEET.parent / value) if key == "mapping" else value]
    return words


def environment(folder: Path) -> dict[str, str]:
    """Of this process's environment what the contract names, and the journey's own login file."""
    handed = {name: value for name, value in os.environ.items() if HANDED_ON.fullmatch(name)}
    if not re.search(OWN_LOGIN_FILE, (folder / ".env").read_text(encoding="utf-8-sig")):
        handed["LEADGENIUS_AUTH_FILE"] = str(folder / ".leadgenius_auth.json")
    return handed


def run(journey: dict[str, Any]) -> dict[str, Any]:
    """Run a journey, with its output line by line in the task's log."""
    log, folder = logging.getLogger(__name__), FLEET.parent / Path(journey["folder"]).expanduser()
    with subprocess.Popen(  # noqa: S603
        command(journey),
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        errors="replace",  # a line that this process cannot decode ends no journey
    ) as process:
        try:
            for line in process.stdout or ():
                log.info(line.rstrip("\n"))
        finally:
            process.terminate()  # only where the task is stopped; sends in flight are waited for
    code = process.returncode
    if code in FINAL:
        raise AirflowFailException(f"{journey['name']}: {FINAL[code]} (exit code {code})")
    if code not in (DONE, NEEDS_ATTENTION):
        raise AirflowException(f"{journey['name']}: exit code {code}; tried again")
    if code == NEEDS_ATTENTION:
        log.warning("%s: done, but something needs attention: migrator report", journey["name"])
    return {"journey": journey["name"], "needs_attention": code == NEEDS_ATTENTION}


# A second run beside the first would only be told that its journeys are busy.
with DAG("migrator", schedule=NIGHTLY, start_date=START, catchup=False, max_active_runs=1) as dag:
    for login, members in journeys().items():
        # A pool cannot be mapped, so each login has a task of its own.
        task(
            task_id=f"run-{re.sub('[^A-Za-z0-9_.-]', '-', login)}",
            pool=f"migrator-{login}",
            retries=RETRIES,
            retry_delay=timedelta(seconds=RETRY_SECONDS),
            map_index_template="{{ task.op_kwargs['journey']['name'] }}",
        )(run).expand(journey=members)
