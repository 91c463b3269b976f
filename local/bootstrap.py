"""Triggers the DAG `bootstrap_pipeline` as the UI does, follows it and waits for rows."""

from __future__ import annotations

import os
import time

from rich.console import Console

from local.airflow_api import POLL_S, AirflowApi
from local.contract import read_streams
from local.errors import PipelineError
from local.lake import rows_by_table
from local.setting import Setting
from local.status import end_offsets, exchange_status

DAG = "bootstrap_pipeline"
RUN_PATIENCE_S = 900
ROWS_PATIENCE_S = 300
WANTED_TABLES = ("ticker", "trade", "orderbook", "candle_1m")


def run(setting: Setting, console: Console) -> None:
    """One run of the DAG. Raises PipelineError naming the task that failed and where its log is."""
    api = AirflowApi(setting)
    run_id = api.trigger(DAG)
    console.print(f"{DAG} triggered: {api.page(DAG, run_id)}")
    state = api.follow(DAG, run_id, RUN_PATIENCE_S, lambda task, state: console.print(f"  {DAG}: {task} {state}"))
    if state != "success":
        failed = ", ".join(task["task_id"] for task in api.tasks(DAG, run_id) if task["state"] == "failed")
        where = api.page(DAG, run_id)
        raise PipelineError(f"{DAG} ended {state} at {failed or 'no task'}: its log says why, {where}")


def wait_for_rows(setting: Setting) -> None:
    """Waits until every stream that has data has rows in the lake, and candles where trades are."""
    deadline = time.monotonic() + ROWS_PATIENCE_S
    while True:
        rows = rows_by_table(setting)
        empty = [name for name in WANTED_TABLES if not rows.get(name)]
        if set(empty) <= _silent_tables(setting):
            return
        if time.monotonic() > deadline:
            raise PipelineError(f"no row in {', '.join(empty)} after {ROWS_PATIENCE_S} s: see ./pipeline status")
        time.sleep(POLL_S)


def _silent_tables(setting: Setting) -> set[str]:
    """Tables that stay empty: their stream is not asked for, or a recording that has ended holds none of it."""
    streams = read_streams(setting.contract)
    asked = {name.strip() for name in os.environ.get("UPBIT_STREAMS", "").split(",") if name.strip()}
    silent = {s.table for s in streams if asked and s.name not in asked}
    if setting.source.kind == "file" and exchange_status(setting).get("ended"):
        silent |= {s.table for s in streams if not any(end_offsets(setting, s.topic).values())}
    return silent | {"candle_1m"} if "trade" in silent else silent
