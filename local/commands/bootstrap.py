"""Triggers the DAG `bootstrap_pipeline` as the UI does, follows it and waits for rows."""

from __future__ import annotations

import time

from rich.console import Console

from local.commands.airflow_api import POLL_S, AirflowApi
from local.commands.query import rows_by_table
from local.contract import read_derived, read_streams
from local.errors import PipelineError
from local.home.setting import Setting
from local.parts.exchange import exchange_status
from local.parts.kafka import end_offsets

DAG = "bootstrap_pipeline"
RUN_PATIENCE_S = 900
ROWS_PATIENCE_S = 300


def run(setting: Setting, console: Console) -> None:
    """Runs the DAG once. Raises PipelineError naming the task that failed and where its log is."""
    api = AirflowApi.of(setting)
    run_id = api.trigger(DAG)
    console.print(f"{DAG} triggered: {api.page(DAG, run_id)}")
    state = api.follow(DAG, run_id, RUN_PATIENCE_S, lambda task, state: console.print(f"  {DAG}: {task} {state}"))
    if state != "success":
        failed = ", ".join(task["task_id"] for task in api.tasks(DAG, run_id) if task["state"] == "failed")
        where = api.page(DAG, run_id)
        raise PipelineError(f"{DAG} ended {state} at {failed or 'no task'}: its log says why, {where}")


def wait_for_rows(setting: Setting) -> None:
    """Waits until each stream that has data has rows in the lake, and so has what is computed from it.

    Raises:
        PipelineError: a stream's topic has records, and its table none in time.
    """
    deadline = time.monotonic() + ROWS_PATIENCE_S
    while True:
        rows = rows_by_table(setting)
        empty = {table: topic for table, topic in _fed_tables(setting).items() if not rows.get(table)}
        late = time.monotonic() > deadline
        if late or exchange_status(setting).get("ended"):
            # No more data will come, or would have by now: what has none owes no rows.
            empty = {table: topic for table, topic in empty.items() if any(end_offsets(setting, topic).values())}
        if not empty:
            return
        if late:
            raise PipelineError(f"no row in {', '.join(empty)} after {ROWS_PATIENCE_S} s: see ./pipeline status")
        time.sleep(POLL_S)


def _fed_tables(setting: Setting) -> dict[str, str]:
    """Returns the topic that feeds each table, of the streams that the ingester is set to receive."""
    names = {name.strip() for name in setting.ingester.get("UPBIT_STREAMS", "").split(",") if name.strip()}
    streams = [stream for stream in read_streams(setting.contract) if not names or stream.name in names]
    topics = {stream.name: stream.topic for stream in streams}
    computed = {table: topics[name] for table, name in read_derived(setting.contract).items() if name in topics}
    return {stream.table: stream.topic for stream in streams} | computed
