"""Makes `pytest dags` real: every DAG file is imported, serialised and held against the pipeline's policy.

Needs `requirements.txt` only: no service, no database, no network. A file that does not import, a DAG that is missing
or one too many fails; nothing passes because there was nothing to look at.
"""

from __future__ import annotations

import ast
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).resolve().parent
PLUGINS = DAGS.parent / "plugins"

# Before the first import of Airflow: it reads its configuration then.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="pytest-dags-")
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(DAGS)
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(PLUGINS)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
for folder in (str(PLUGINS), str(DAGS)):
    if folder not in sys.path:
        sys.path.insert(0, folder)

PARSE_LIMIT_S = 1.0
# What a DAG file may import of the control plane.
ALLOWED = ("upbit_lake.tasks.", "upbit_lake.contract.")

# dag_id -> its task ids in an order that is one of the possible ones, and the schedule's key in the contract.
TOPOLOGY: dict[str, dict[str, set[str]]] = {
    "bootstrap_pipeline": {
        "services_reachable": {"topics", "buckets"},
        "topics": {"lake_tables"},
        "buckets": {"lake_tables"},
        "lake_tables": {"streaming_jobs"},
        "streaming_jobs": {"ingester"},
        "ingester": {"release_leases", "first_rows"},
        "release_leases": set(),
        "first_rows": set(),
    },
    "supervise_streaming_jobs": {"look_and_restart": set()},
    "supervise_ingester": {"look_and_restart": set()},
    "compact_paimon_partitions": {
        "close_hours": {"expire", "hours_were_closed"},
        "expire": {"hours_were_closed"},
        "hours_were_closed": {"verify"},
        "verify": set(),
    },
    "verify_paimon_partitions": {"verify_hours": set()},
}
# Tasks that run whatever failed before them. Each stands beside one that does not: a run is judged by its last tasks.
ALL_DONE = {"bootstrap_pipeline.release_leases", "compact_paimon_partitions.expire"}


class DagPolicyError(AssertionError):
    """A DAG file breaks a rule. One line: which rule, where, what to do."""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """One collector a DAG file, and this file for the guard over all of them."""
    if file_path.parent != DAGS or file_path.suffix != ".py":
        return None
    if file_path.name == "conftest.py":
        return GuardFile.from_parent(parent, path=file_path)
    if file_path.name.startswith(("test_", "_")):
        return None
    return DagFile.from_parent(parent, path=file_path)


class GuardFile(pytest.File):
    """Holds the folder as a whole against what the pipeline promises."""

    def collect(self) -> Iterator[pytest.Item]:
        """The guard item."""
        yield CheckItem.from_parent(self, name="expected_dags", check=check_expected)


class DagFile(pytest.File):
    """A DAG file, parsed once for all of its items."""

    _parsed: Parsed | None = None

    def parsed(self) -> Parsed:
        """What parsing the file gave, without network and without Variables."""
        if self._parsed is None:
            self._parsed = parse(self.path)
        return self._parsed

    def collect(self) -> Iterator[pytest.Item]:
        """One item a rule, so that a report names what is broken."""
        for check in (check_arrows, check_import, check_serializes, check_policy, check_topology, check_docs):
            yield CheckItem.from_parent(self, name=check.__name__.removeprefix("check_"), check=check)


class CheckItem(pytest.Item):
    """One rule over one file."""

    def __init__(self, check: Any, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._check = check

    def runtest(self) -> None:
        """Apply the rule; it raises DagPolicyError when it is broken."""
        self._check(self.parent.parsed() if isinstance(self.parent, DagFile) else DAGS)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """A broken rule is one line, anything else a full report."""
        if isinstance(excinfo.value, DagPolicyError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """How the item is called in a report."""
        return self.path, 0, f"{self.path.name}::{self.name}"


class Parsed:
    """The result of parsing a DAG file: its DAGs, import errors, what it touched, and its CPU time (seconds)."""

    def __init__(self, path: Path, dags: dict[str, Any], errors: dict[str, str], touched: list[str], took: float):
        self.path, self.dags, self.errors, self.touched, self.took = path, dags, errors, touched, took

    def require(self) -> dict[str, Any]:
        """The DAGs; fails when the file did not import, so that no rule passes on an empty file."""
        if self.errors or not self.dags:
            raise DagPolicyError(f"{self.path.name}: not checked, the file does not import (see its item `import`)")
        return self.dags


def parse(path: Path) -> Parsed:
    """Parse one DAG file the way the dag-processor does, with network and Variables watched."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import Asset, Param, Variable, dag, get_current_context, task  # noqa: F401

    from upbit_lake.tasks import policy as policy

    # What every file imports is loaded by now: the first one must not pay for the others.
    policy.start_date()
    touched: list[str] = []
    bag: Any = DagBag(dag_folder=os.devnull, collect_dags=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", lambda _, address: _refuse(touched, f"network: {address}"))
        patch.setattr(Variable, "get", lambda key, *_, **__: _refuse(touched, f"Variable {key}"))
        # CPU time: a busy machine does not make a file heavy.
        began = time.thread_time()
        bag.process_file(str(path), only_if_updated=False, safe_mode=False)
        took = time.thread_time() - began
    return Parsed(path, dict(bag.dags), dict(bag.import_errors), touched, took)


def _refuse(touched: list[str], what: str) -> None:
    touched.append(what)
    raise DagPolicyError(f"{what} at parse time")


def check_expected(folder: Path) -> None:
    """The folder yields exactly the DAGs of the design, each in the file that bears its name."""
    files = {path.stem for path in folder.glob("*.py") if not path.name.startswith(("test_", "_", "conftest"))}
    if files != set(TOPOLOGY):
        missing, surplus = sorted(set(TOPOLOGY) - files), sorted(files - set(TOPOLOGY))
        raise DagPolicyError(f"dags/: missing {missing or 'none'}, not expected {surplus or 'none'}; see TOPOLOGY")


def check_import(parsed: Parsed) -> None:
    """The file imports, defines the DAG of its name and nothing else, quickly and without touching anything."""
    name = parsed.path.name
    if parsed.errors:
        raise DagPolicyError(f"{name}: does not import: {next(iter(parsed.errors.values())).strip().splitlines()[-1]}")
    if set(parsed.dags) != {parsed.path.stem}:
        raise DagPolicyError(f"{name}: defines {sorted(parsed.dags) or 'no DAG'}, must define {parsed.path.stem}")
    if parsed.touched:
        raise DagPolicyError(f"{name}: touches {', '.join(parsed.touched)} at parse time; move it into a task")
    if parsed.took > PARSE_LIMIT_S:
        raise DagPolicyError(f"{name}: takes {parsed.took:.2f} s of CPU to parse; move heavy imports into the tasks")


def check_arrows(parsed: Parsed) -> None:
    """The file imports the tasks' bodies, and the contract for its schedule: what they do is no business of a DAG."""
    for node in ast.walk(ast.parse(parsed.path.read_text(encoding="utf-8"))):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        package = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for name in [package + item.name for item in node.names]:
            if name.startswith("upbit_lake") and not name.startswith(ALLOWED):
                raise DagPolicyError(f"{parsed.path.name}:{node.lineno}: imports {name}; move it into upbit_lake.tasks")


def check_serializes(parsed: Parsed) -> None:
    """The scheduler gets the DAG as it was written."""
    from airflow.serialization.serialized_objects import DagSerialization

    for dag_id, dag in parsed.require().items():
        back = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
        if set(back.task_dict) != set(dag.task_dict):
            raise DagPolicyError(f"{dag_id}: loses tasks when it is serialised")


def check_policy(parsed: Parsed) -> None:
    """Catch-up off, one run at a time, active from the start, every task retried, bounded and owned."""
    for dag_id, dag in parsed.require().items():
        wanted = {"catchup": False, "max_active_runs": 1, "is_paused_upon_creation": False}
        for name, value in wanted.items():
            if getattr(dag, name) != value:
                raise DagPolicyError(f"{dag_id}: {name} is {getattr(dag, name)!r}, must be {value!r}")
        if not dag.tags:
            raise DagPolicyError(f"{dag_id}: has no tags")
        for task in dag.tasks:
            _check_task(dag_id, task)


def _check_task(dag_id: str, task: Any) -> None:
    from upbit_lake.state.leases import LEASE_S

    where = f"{dag_id}.{task.task_id}"
    if task.retries < 2:
        raise DagPolicyError(f"{where}: retries {task.retries}, must be at least 2 (the API server may be away)")
    if task.retry_delay.total_seconds() > 60:
        raise DagPolicyError(f"{where}: retry_delay {task.retry_delay}, must be at most a minute")
    if task.execution_timeout is None:
        raise DagPolicyError(f"{where}: has no execution_timeout")
    if task.owner == "airflow":
        raise DagPolicyError(f"{where}: has no owner")
    if (task.trigger_rule == "all_done") != (where in ALL_DONE):
        raise DagPolicyError(f"{where}: trigger_rule {task.trigger_rule}; see ALL_DONE")
    if where in ALL_DONE and any(before.downstream_task_ids == {task.task_id} for before in task.upstream_list):
        raise DagPolicyError(f"{where}: would hide that a task before it failed")
    # Whoever holds a lease must be dead before it ends, or two would change the same jobs.
    leased = dag_id.startswith(("supervise_", "bootstrap_")) and where != "bootstrap_pipeline.first_rows"
    if leased and task.execution_timeout.total_seconds() >= LEASE_S:
        raise DagPolicyError(
            f"{where}: execution_timeout {task.execution_timeout}, its lease ends after {LEASE_S:.0f} s"
        )
    if dag_id.startswith("supervise_") and task.pool != "supervision":
        raise DagPolicyError(f"{where}: must run in the pool `supervision`, or it waits behind long work")


def check_topology(parsed: Parsed) -> None:
    """The tasks follow each other as the design says, on the contract's schedule."""
    from upbit_lake.contract.reader import load_contract

    schedules = load_contract().schedules
    for dag_id, dag in parsed.require().items():
        found = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
        if found != TOPOLOGY.get(dag_id):
            raise DagPolicyError(f"{dag_id}: its tasks are {found}, must be {TOPOLOGY.get(dag_id)}")
        cron = getattr(dag.timetable, "expression", None) or getattr(dag.timetable, "_expression", None)
        if cron != schedules.get(dag_id):
            raise DagPolicyError(f"{dag_id}: runs at {cron}, the contract says {schedules.get(dag_id)}")


def check_docs(parsed: Parsed) -> None:
    """doc_md says what the DAG does, when it fails and who cares; each parameter has a description."""
    for dag_id, dag in parsed.require().items():
        for heading in ("What it does", "When it fails", "Who cares"):
            if heading not in (dag.doc_md or ""):
                raise DagPolicyError(f"{dag_id}: doc_md has no section `{heading}`")
        for name in dag.params:
            param = dag.params.get_param(name)
            if not (param.description or param.schema.get("description_md")):
                raise DagPolicyError(f"{dag_id}: parameter {name} has no description")
