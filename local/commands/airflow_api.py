"""The runner triggers and follows DAG runs by Airflow's public REST API, as the UI does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests

from local.errors import PipelineError
from local.home.setting import Setting
from local.parts.airflow import USER

DAG_PATIENCE_S = 240
POLL_S = 1.0


class AirflowApi:
    """A login to Airflow's API.

    Raises:
        PipelineError: Airflow does not answer, refuses a call or does not know a DAG in time.
    """

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {self._token(password)}"

    @classmethod
    def of(cls, setting: Setting) -> AirflowApi:
        """A login to a home's Airflow."""
        return cls(setting.ports.url("airflow"), setting.credentials.airflow_password)

    def trigger(self, dag: str, params: dict[str, Any] | None = None) -> str:
        """Waits until Airflow knows the DAG, unpauses it, starts a run and returns its id."""
        deadline = time.monotonic() + DAG_PATIENCE_S
        while self._call("GET", f"/api/v2/dags/{dag}").status_code != 200:
            if time.monotonic() > deadline:
                raise PipelineError(f"Airflow does not know {dag}: see ./pipeline logs airflow-dags")
            time.sleep(POLL_S)
        self.ask("PATCH", f"/dags/{dag}", {"is_paused": False})
        run = self.ask("POST", f"/dags/{dag}/dagRuns", {"logical_date": None, "conf": params or {}})
        return str(run["dag_run_id"])

    def follow(self, dag: str, run_id: str, patience_s: float, report: Callable[[str, str], None]) -> str:
        """Waits for the run's end and returns its state; reports each task and its state once it has ended."""
        deadline = time.monotonic() + patience_s
        reported: set[str] = set()
        while time.monotonic() < deadline:
            state = str(self.ask("GET", f"/dags/{dag}/dagRuns/{run_id}")["state"])
            for task in self.tasks(dag, run_id):
                if (
                    task["state"] in ("success", "failed", "upstream_failed", "skipped")
                    and task["task_id"] not in reported
                ):
                    reported.add(task["task_id"])
                    report(str(task["task_id"]), str(task["state"]))
            if state in ("success", "failed"):
                return state
            time.sleep(POLL_S)
        return "unfinished"

    def tasks(self, dag: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run (task_id, state, try_number, map_index, …)."""
        return list(self.ask("GET", f"/dags/{dag}/dagRuns/{run_id}/taskInstances")["task_instances"])

    def log(self, dag: str, run_id: str, task: str, attempt: int = 1) -> list[str]:
        """The lines of a task's log, oldest first."""
        path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/logs/{attempt}"
        lines = self.ask("GET", f"{path}?full_content=true")["content"]
        return [str(line.get("event", "")) if isinstance(line, dict) else str(line) for line in lines]

    def page(self, dag: str, run_id: str) -> str:
        """Returns the address of the run's page."""
        return f"{self.url}/dags/{dag}/runs/{run_id}"

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Makes one call below /api/v2 and returns its JSON."""
        answer = self._call(method, f"/api/v2{path}", body)
        if not answer.ok:
            raise PipelineError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:200]}")
        return dict(answer.json())

    def _token(self, password: str) -> str:
        body = {"username": USER, "password": password}
        answer = self._call("POST", "/auth/token", body)
        if not answer.ok:
            raise PipelineError(f"Airflow at {self.url} refuses its own password ({answer.status_code}): restart it")
        return str(answer.json()["access_token"])

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        try:
            return self._session.request(method, f"{self.url}{path}", json=body, timeout=60)
        except requests.RequestException as error:
            raise PipelineError(
                f"Airflow at {self.url} does not answer ({type(error).__name__}): see ./pipeline logs airflow-api"
            ) from None
