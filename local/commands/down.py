"""`./pipeline down` ends every process of the home, and with --purge deletes its data."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import requests
from rich.console import Console

from local.errors import PipelineError
from local.home.exclusive import exclusive
from local.home.places import Places
from local.home.ports import Ports
from local.parts import postgres
from local.parts.http import get_json
from local.processes import orphans
from local.processes.supervisor import Supervisor

CHECKPOINT_PATIENCE_S = 60

# Airflow first, because it would start again what ends; then the ingester drains while the brokers still take it.
ORDER = (
    ("airflow-scheduler", "airflow-dags", "airflow-triggerer"),
    ("ingester",),
    ("exchange", "airflow-api"),
    ("gateway", "taskmanager-1", "taskmanager-2", "jobmanager"),
    ("kafka-1", "kafka-2", "kafka-3"),
    ("s3", "postgres"),
)


# All that the runner makes in a home; a purge deletes nothing else, whatever folder PIPELINE_HOME names.
MADE = ("airflow", "conf", "credentials.json", "data", "ingester.json", "logs", "ports.json", "run", "source.json")


def down(places: Places, console: Console, *, purge: bool = False, confirmed: bool = False) -> None:
    """Ends every process of the home. Raises PipelineError when one does not end."""
    if not places.run.exists():
        console.print(f"nothing runs and nothing is kept in {places.home}")
        return
    if purge and not confirmed:
        _ask_for_leave(places)
    with exclusive(places):
        supervisor = Supervisor(places)
        if supervisor.is_up():
            try:
                _stop_in_order(places, supervisor, console)
                supervisor.shutdown()
            except OSError:
                console.print("  supervisord went away meanwhile: what it left is ended")
        # The second look decides: what is there now did not end, or was started while the first were ending.
        orphans.end(orphans.find(places))
        left = orphans.find(places)
        if left:
            raise PipelineError(f"these do not end: {', '.join(f'{p.name()} (pid {p.pid})' for p in left)}; end them")
        orphans.sweep(places)
        if purge:
            _purge(places)
    console.print("down" + (f"; the data in {places.home} is gone" if purge else ""))


def _ask_for_leave(places: Places) -> None:
    question = f"This deletes the lake, the topics and the databases in {places.home}. Type yes: "
    try:
        answer = input(question) if sys.stdin.isatty() else ""
    except EOFError:
        answer = ""
    if answer.strip() != "yes":
        raise PipelineError("nothing was stopped or deleted: type yes, or give --yes")


def _purge(places: Places) -> None:
    postgres.purge(places)
    for name in MADE:
        path = places.home / name
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with contextlib.suppress(OSError):
        places.home.rmdir()  # files of another program keep it


def _stop_in_order(places: Places, supervisor: Supervisor, console: Console) -> None:
    known = supervisor.processes()
    for group in ORDER:
        names = [name for name in group if name in known and known[name]["statename"] not in ("STOPPED", "EXITED")]
        if "jobmanager" in names:
            _keep_a_state(Ports.of_home(places).url("flink_rest"), console)
        with ThreadPoolExecutor(len(group)) as pool:
            list(pool.map(supervisor.stop, names))
        for name in names:
            if name == "ingester" and supervisor.processes()[name]["exitstatus"] != 0:
                console.print("  ingester ended with undelivered records: its spool keeps them for the next up")
        if names:
            console.print(f"  {', '.join(names)} stopped")


def _keep_a_state(flink: str, console: Console) -> None:
    """Asks each running job for a last checkpoint, so that the next `up` resumes with nothing to replay."""
    jobs = (get_json(f"{flink}/jobs/overview") or {}).get("jobs", [])
    running = [job for job in jobs if job["state"] == "RUNNING"]
    before = {job["jid"]: _completed(flink, job["jid"]) for job in running}
    for jid in before:
        with contextlib.suppress(requests.RequestException):
            requests.post(f"{flink}/jobs/{jid}/checkpoints", json={"checkpointType": "FULL"}, timeout=10)
    deadline = time.monotonic() + CHECKPOINT_PATIENCE_S
    waiting = dict(before)
    while waiting and time.monotonic() < deadline:
        waiting = {jid: n for jid, n in waiting.items() if _completed(flink, jid) <= n}
        time.sleep(0.5)
    for job in running:
        if job["jid"] in waiting:
            console.print(f"  job {job['name']}: no last checkpoint in time; an older one is resumed from")


def _completed(flink: str, jid: str) -> int:
    counts = (get_json(f"{flink}/jobs/{jid}/checkpoints") or {}).get("counts", {})
    return int(counts.get("completed", 0))
