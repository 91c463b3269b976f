"""Builds the pipeline on engines that run, or checks the one that is there."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag, task

from upbit_lake.tasks.policy import TASK_DEFAULTS, start_date

DOC = """
### What it does
Services reachable → topics → buckets → catalog, database, tables → streaming jobs → ingester → first rows.
Each step reports `created`, `unchanged`, `repaired: …` or `drift: …` as the last line of its log. Run it again at any
time: on a pipeline that is as the contract says it changes nothing.

### Parameters
* `repair` (default on): repairs everything that loses nothing: settings of topics, options and new columns of tables,
  lost or changed jobs, a stopped ingester. Destructive steps are never taken, they are reported as drift.
* `grow_partitions` (default off): lets topics grow; it changes which partition a key goes to.
* `dry_run`: changes nothing, says what it would do.

### When it fails
A service does not answer, Kafka or Flink refuses a change, a job does not start, or no row arrives within
`first_rows_within_s`. The reason is the last line of the failed task's log.

### Who cares
Whoever runs the pipeline. While it works it holds a lease: the supervising DAGs skip their runs. The lease is
given back once the ingester runs, also when a step has failed.
"""


@dag(
    schedule=None,
    start_date=start_date(),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=TASK_DEFAULTS,
    tags=["pipeline", "bootstrap"],
    doc_md=DOC,
    params={
        "repair": Param(True, type="boolean", description_md="Repair what loses nothing"),
        "grow_partitions": Param(False, type="boolean", description_md="Let topics grow (moves keys)"),
        "dry_run": Param(False, type="boolean", description_md="Change nothing, say what would be done"),
        "first_rows_within_s": Param(
            180, type="integer", minimum=0, maximum=3600, description_md="Seconds to wait for the first rows"
        ),
    },
)
def bootstrap_pipeline() -> None:
    @task
    def services_reachable() -> str:
        from upbit_lake.tasks import bootstrap

        return bootstrap.services_reachable()

    @task
    def topics() -> str:
        from upbit_lake.tasks import bootstrap

        return bootstrap.topics()

    @task
    def buckets() -> str:
        from upbit_lake.tasks import bootstrap

        return bootstrap.buckets()

    @task
    def lake_tables() -> str:
        from upbit_lake.tasks import bootstrap

        return bootstrap.lake_tables()

    @task
    def streaming_jobs() -> str:
        from upbit_lake.tasks import bootstrap

        return bootstrap.streaming_jobs()

    @task
    def ingester() -> str:
        from upbit_lake.tasks import bootstrap

        return bootstrap.ingester()

    @task(trigger_rule="all_done")
    def release_leases() -> str:
        from upbit_lake.tasks import bootstrap

        return bootstrap.release_leases()

    @task(execution_timeout=timedelta(hours=1, minutes=5))
    def first_rows() -> str:
        from upbit_lake.tasks import bootstrap

        return bootstrap.first_rows()

    tables = lake_tables()
    # A run is judged by its last tasks: `release_leases` succeeds after a failure, `first_rows` does not.
    ending = [release_leases(), first_rows()]
    services_reachable() >> [topics(), buckets()] >> tables >> streaming_jobs() >> ingester() >> ending


bootstrap_pipeline()
