"""
A real Airflow in a folder of its own: scheduler with LocalExecutor, DAG processor, API server.

It runs the DAG file of `deploy/airflow` as it is. Its time-outs are lowered, so that a lost task is
noticed within seconds; they are Airflow's own settings. Its database is SQLite, and is read
directly: an import of Airflow takes seconds.
"""

import json
import os
import secrets
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from benchmarks.airflow_dag import DAG_FILE
from benchmarks.judge import Broken

RUN = "benchmark"
RETRY_SECONDS = 2
HEARTBEAT_TIMEOUT_SECONDS = 15
LONGEST_START_SECONDS = 180.0
# Pool slots and worker processes; each worker is the supervisor of a task.
MOST_TASKS = 8


class AirflowService:
    """
    The processes of an Airflow.

    Args:
        python: An interpreter with Airflow.
        folder: With `fleet.toml`; for everything that Airflow writes.
        logins: Each has a pool.
        program: What stands for `migrator`.
    """

    def __init__(self, python: Path, folder: Path, logins: Sequence[str], program: Path) -> None:
        self._python = python
        self._folder = folder
        self._database = folder / "airflow" / "airflow.db"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._environment = self._variables(program)
        self._components: dict[str, subprocess.Popen[bytes]] = {}
        pools = {f"migrator-{one}": {"slots": MOST_TASKS, "description": ""} for one in logins}
        (folder / "pools.json").write_text(json.dumps(pools), encoding="utf-8")

    def start(self) -> int:
        """
        Start everything, wait until the DAG can be triggered; the scheduler's process id.

        Raises:
            Broken: it does not start; with what it printed.
        """
        self._airflow("db", "migrate")
        words = ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"]
        self._start("api-server", *words)
        self._start("dag-processor")
        self._airflow("pools", "import", str(self._folder / "pools.json"))
        scheduler = self.start_scheduler()
        self._wait_until(lambda: self._ask("SELECT 1 FROM serialized_dag") != [], "the DAG")
        self._wait_until(self._is_answering, "the API server")
        return scheduler

    def start_scheduler(self) -> int:
        """Start a scheduler, as a service manager would after its end; its process id."""
        return self._start("scheduler", "--skip-serve-logs")

    def trigger(self) -> float:
        """Begin the one run of the DAG; when, on the monotonic clock."""
        began = time.monotonic()
        self._airflow("dags", "trigger", "migrator", "--run-id", RUN)
        return began

    def state(self) -> str:
        """The state of that run, such as "running"."""
        ((state,),) = self._ask("SELECT state FROM dag_run WHERE run_id = ?", RUN)
        return str(state)

    def tries(self) -> dict[str, int]:
        """How often each journey was tried, by its name."""
        asked = "SELECT rendered_map_index, try_number FROM task_instance WHERE run_id = ?"
        return {str(name): int(tries) for name, tries in self._ask(asked, RUN)}

    def exit_codes(self) -> list[int]:
        """The exit codes other than 0 that the tasks' logs name, one for each try."""
        found = []
        for log in (self._folder / "airflow" / "logs").rglob("attempt=*.log"):
            text = log.read_text(encoding="utf-8", errors="replace")
            for end in ("; tried again", ")"):
                _, _, rest = text.partition("exit code ")
                code = rest.partition(end)[0]
                if code.lstrip("-").isdigit():
                    found.append(int(code))
                    break
        return sorted(found)

    def last_words(self) -> str:
        """The end of what each component printed."""
        logs = {one.stem: one.read_text("utf-8", "replace") for one in self._folder.glob("*.out")}
        return "\n".join(f"--- {name}\n{text[-1500:]}" for name, text in logs.items())

    def _variables(self, program: Path) -> Mapping[str, str]:
        settings: dict[str, dict[str, object]] = {
            "core": {
                "dags_folder": DAG_FILE.parent,
                "load_examples": False,
                "executor": "LocalExecutor",
                "dags_are_paused_at_creation": False,
                "parallelism": MOST_TASKS,
                "execution_api_server_url": f"http://127.0.0.1:{self._port}/execution/",
            },
            "api": {"secret_key": secrets.token_hex(16)},
            "api_auth": {"jwt_secret": secrets.token_hex(32)},
            "scheduler": {
                "use_job_schedule": False,  # or a run of last night begins beside the one triggered
                "task_instance_heartbeat_timeout": HEARTBEAT_TIMEOUT_SECONDS,
                "task_instance_heartbeat_timeout_detection_interval": 1,
                "scheduler_heartbeat_sec": 1,
                # Less would have a scheduler that is slow take its own tasks for another one's.
                "scheduler_health_check_threshold": 10,
                "orphaned_tasks_check_interval": 1,
            },
            "workers": {"min_heartbeat_interval": 2},
        }
        return {
            "PATH": f"{self._python.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self._folder),
            "XDG_STATE_HOME": str(self._folder / "state"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AIRFLOW_HOME": str(self._folder / "airflow"),
            "MIGRATOR_FLEET": str(self._folder / "fleet.toml"),
            "MIGRATOR_PROGRAM": str(program),
            "MIGRATOR_RETRY_SECONDS": str(RETRY_SECONDS),
            **{
                f"AIRFLOW__{section}__{name}".upper(): str(value)
                for section, values in settings.items()
                for name, value in values.items()
            },
        }

    def _start(self, component: str, *words: str) -> int:
        with (self._folder / f"{component}.out").open("ab") as out:
            self._components[component] = subprocess.Popen(  # noqa: S603
                [str(self._python), "-m", "airflow", component, *words],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C of the terminal is for this process
            )
        return self._components[component].pid

    def _airflow(self, *words: str) -> None:
        done = subprocess.run(  # noqa: S603
            [str(self._python), "-m", "airflow", *words],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stdout + done.stderr)[-3000:]
            raise Broken(f"airflow {' '.join(words)} ended with {done.returncode}:\n{said}")

    def _is_answering(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
            return True
        return False

    def _wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + LONGEST_START_SECONDS
        while not is_so():
            ended = [name for name, one in self._components.items() if one.poll() is not None]
            if ended or time.monotonic() > until:
                raise Broken(f"{what} did not come up (ended: {ended})\n{self.last_words()}")
            time.sleep(0.5)

    def _ask(self, statement: str, *values: str) -> list[tuple[str, ...]]:
        address = f"file:{self._database}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as database:
            return database.execute(statement, values).fetchall()
