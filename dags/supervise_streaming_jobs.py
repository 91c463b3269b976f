"""Looks at the streaming jobs each minute and brings back what is lost or unhealthy."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Asset, dag, get_current_context, task

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
        from upbit_lake.state.leases import STREAMING_JOBS
        from upbit_lake.supervise.jobs import Memory, supervise_jobs
        from upbit_lake.tasks.connections import open_engines
        from upbit_lake.tasks.log import conclude
        from upbit_lake.tasks.supervision import blocked_reason, fail_loudly, keep, leased, recall

        context = get_current_context()
        store = context["asset_state_store"][MEMORY]
        memory = Memory.from_json(recall(store))
        with open_engines() as engines:
            reason = blocked_reason(engines.db, STREAMING_JOBS, context["run_id"])
            if reason:
                return conclude(f"skipped: {reason}")
            try:
                outcomes = supervise_jobs(
                    engines, memory, lambda: leased(engines.db, STREAMING_JOBS, context["run_id"])
                )
            finally:
                keep(store, memory.to_json())
        line = conclude("; ".join(f"{name}: {outcome.text}" for name, outcome in outcomes.items()))
        if any(outcome.failed for outcome in outcomes.values()):
            fail_loudly(line)
        return line

    look_and_restart()


supervise_streaming_jobs()
