"""`./pipeline status`: what runs, how far the data is, what was proved."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from string import Template
from typing import Any

import psycopg
import requests
from confluent_kafka import Consumer, TopicPartition
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from local.commands.query import rows
from local.contract import Stream, read_jobs, read_streams
from local.errors import PipelineError
from local.home.ports import LOOPBACK
from local.home.setting import Setting
from local.parts import assembly, control_database
from local.parts.flink import get_json
from local.processes.part import Part
from local.processes.supervisor import Supervisor

Section = list[dict[str, Any]]


def show(setting: Setting, console: Console, *, as_json: bool) -> int:
    """Prints the state; returns 0 when all is healthy, else 3. Raises PipelineError: see `control_database`."""
    control_database.refuse_newer(setting)
    sections: dict[str, Callable[[], Section]] = {
        "processes": lambda: processes(setting),
        "streams": lambda: streams(setting),
        "jobs": lambda: jobs(setting),
        "verdicts": lambda: verdicts(setting),
    }
    with ThreadPoolExecutor(len(sections)) as pool:
        found = dict(zip(sections, pool.map(lambda read: read(), sections.values()), strict=True))
    if as_json:
        print(json.dumps(found, indent=1, default=str))
    else:
        for title, section in found.items():
            console.print(_table(title, section))
    return 0 if is_healthy(found, read_jobs(setting.contract)) else 3


def is_healthy(found: Mapping[str, Section], jobs: Iterable[str]) -> bool:
    """True when every process is healthy and each job of the contract runs; other jobs come and go."""
    states = {job["job"]: job["state"] for job in found["jobs"]}
    return all(p["healthy"] for p in found["processes"]) and all(states.get(name) == "RUNNING" for name in jobs)


def processes(setting: Setting) -> Section:
    """State, pid, age (s), ports and health of each part."""
    supervisor = Supervisor(setting.places)
    known = supervisor.processes() if supervisor.is_up() else {}

    def one(part: Part) -> dict[str, Any]:
        info = known.get(part.name, {})
        runs = info.get("statename") in ("RUNNING", "STARTING")
        return {
            "name": part.name,
            "state": info.get("statename", "DOWN"),
            "pid": info.get("pid") or None,
            "age_s": info["now"] - info["start"] if runs else None,
            "ports": [setting.ports[name] for name in part.ports],
            "healthy": runs and part.ready(),
        }

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, assembly.parts(setting).values()))


def streams(setting: Setting) -> Section:
    """Kafka end offsets, age of the newest event in the lake (s), lake rows of the running hour."""
    with_kafka = any(_listens(setting.ports[name]) for name in ("kafka_1", "kafka_2", "kafka_3"))
    with_lake = _listens(setting.ports["s3"])

    def one(stream: Stream) -> dict[str, Any]:
        newest, hour_rows = _newest_hour(setting, stream) if with_lake else (None, 0)
        return {
            "stream": stream.name,
            "last_event_age_s": _age(newest),
            "kafka_end_offsets": end_offsets(setting, stream.topic) if with_kafka else {},
            "lake_rows_of_the_running_hour": hour_rows,
        }

    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(one, read_streams(setting.contract)))


def _listens(port: int) -> bool:
    """False spares the time-outs of clients that would wait for a service that is down."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def jobs(setting: Setting) -> Section:
    """State and age (s) of the last completed checkpoint of each Flink job that has not ended."""
    flink = setting.ports.url("flink_rest")
    found = []
    for job in (get_json(f"{flink}/jobs/overview") or {}).get("jobs", []):
        if job["state"] in ("FINISHED", "CANCELED", "FAILED"):
            continue
        latest = (get_json(f"{flink}/jobs/{job['jid']}/checkpoints") or {}).get("latest", {}).get("completed") or {}
        found.append(
            {
                "job": job["name"],
                "state": job["state"],
                "id": job["jid"],
                "tasks_running": f"{job['tasks']['running']}/{job['tasks']['total']}",
                "last_checkpoint_age_s": _age(latest.get("latest_ack_timestamp")),
            }
        )
    return sorted(found, key=lambda job: str(job["job"]))


def verdicts(setting: Setting) -> Section:
    """The newest verdicts; none as long as no hour was verified."""
    newest = setting.places.repository / "sql" / "postgres" / "verdicts" / "newest.sql"
    try:
        with psycopg.connect(setting.database_url("pipeline"), connect_timeout=3, row_factory=dict_row) as connection:
            return connection.execute(newest.read_text()).fetchall()
    except psycopg.Error:
        return []


def _newest_hour(setting: Setting, stream: Stream) -> tuple[int | None, int]:
    now = datetime.now(UTC)
    values = {"TIME": f"`{stream.time}`", "TABLE": stream.table, "DT": f"{now:%Y-%m-%d}", "HH": f"{now:%H}"}
    query = setting.places.repository / "sql" / "lake" / "status" / "stream.sql"
    try:
        row = rows(setting, Template(query.read_text()).substitute(values))[0]
    except (PipelineError, IndexError):
        return None, 0
    newest = row["newest"]
    return (int(newest) if newest is not None else None), int(row["hour_rows"] or 0)


def end_offsets(setting: Setting, topic: str) -> dict[int, int]:
    """The end offset of each partition, {} for a topic that is not there."""
    consumer = Consumer({**setting.kafka_client(), "group.id": "status", "log_level": 0})
    try:
        known = consumer.list_topics(topic, timeout=3).topics[topic]
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=3)[1] for p in known.partitions}
    except Exception:
        return {}
    finally:
        consumer.close()


def _age(ms: int | None) -> float | None:
    if not ms:
        return None
    ms = ms // 1000 if ms > 10**15 else ms
    return round(time.time() - ms / 1000, 1)


def _table(title: str, section: Section) -> Table:
    table = Table(title=title, title_justify="left")
    for name in section[0] if section else ("nothing yet",):
        table.add_column(name.replace("_", " "))
    for row in section:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    return table


def exchange_status(setting: Setting) -> dict[str, Any]:
    """The local exchange's clock and counters, {} for the live one or when it does not answer."""
    if not setting.source.is_local:
        return {}
    try:
        return dict(requests.get(f"{setting.ports.url('exchange')}/_local/status", timeout=3).json())
    except (requests.RequestException, ValueError):
        return {}
