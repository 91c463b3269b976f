"""What every task and DAG of this pipeline has in common."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

OWNER = "pipeline"
SUPERVISION_POOL = "supervision"
BATCH_POOL = "flink_batch"
SUPERVISION_PRIORITY = 100

# A task that starts while the API server is away dies after some seconds: two quick retries carry it over.
TASK_DEFAULTS: dict[str, Any] = {
    "owner": OWNER,
    "retries": 2,
    "retry_delay": timedelta(seconds=10),
    "execution_timeout": timedelta(minutes=10),
}


def start_date() -> Any:
    """A fixed moment in the past: a DAG argument that changes at each parse would inflate the DAG's versions."""
    import pendulum

    return pendulum.datetime(2026, 1, 1, tz="UTC")
