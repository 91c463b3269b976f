"""Looks at the streaming jobs each minute and brings back what is lost or unhealthy."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Asset, dag, task

from upbit_lake.contract.reader import load_contract
from upbit_lake.tasks.policy import SUPERVISION_POOL, SUPERVISION_PRIORITY, TASK_DEFAULTS, start_date

DOC = """
### What it does
A job is healthy when it is RUNNING, all its tasks run, its checkpoints advance within the contract's `freshness_s`
and its restarts stay below the limit; Flink's state alone proves nothing. A lost or unhealthy job is started again
from its newest checkpoint, else a savepoint, else a Kafka time before the lake's last commit. A job that runs twice
keeps its oldest run. An empty job list counts as lost only after 60 s of an answering JobManager.

### Budget
Restarts are counted across runs, with a growing wait between them (`[budgets.job]` in the contract). Over budget the
run fails and one alarm is opened; it closes when the job is healthy again.

### When it fails
A restart did not work, the budget is used up, or the cluster cannot run the job. The last line of the log says which.

### Who cares
Whoever is on call: a failed run is a job that does not write to the lake. While `bootstrap_pipeline` works it
skips its runs; it holds the lease only to act, never to look.
"""

MEMORY = Asset("streaming_jobs_supervision")


@dag(
    schedule=load_contract().schedules["supervise_streaming_jobs"],
    start_date=start_date(),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=TASK_DEFAULTS,
    tags=["pipeline", "supervision"],
    doc_md=DOC,
)
def supervise_streaming_jobs() -> None:
    @task(
        inlets=[MEMORY],
        pool=SUPERVISION_POOL,
        priority_weight=SUPERVISION_PRIORITY,
        execution_timeout=timedelta(minutes=10),
    )
    def look_and_restart() -> str:
        from upbit_lake.tasks import supervise_jobs

        return supervise_jobs.look_and_restart(MEMORY)

    look_and_restart()


supervise_streaming_jobs()
