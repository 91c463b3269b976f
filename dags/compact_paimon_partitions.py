"""Closes hours: exact candles, full compaction, expiry, with the proof that nothing was changed."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param, dag, get_current_context, task

from upbit_lake.contract.reader import load_contract
from upbit_lake.tasks.policy import BATCH_POOL, TASK_DEFAULTS, start_date

DOC = """
### What it does
Takes all closed hours that changed since they were closed last, oldest first, at most `hours.per_run` a run: full
compaction, exact candles from the stored trades → expiry of old snapshots, and once a day of old partitions and orphan
files. An hour is closed when the lake holds every Kafka partition past its end and grace, or the source has ended.
The compaction's own snapshot must hold the same rows and sums as the one before it, and as many files as promised.
With nothing to do it does nothing. After hours were closed it starts `verify_paimon_partitions`.

### Parameters
* `snapshot_retention`: snapshots older than this expire, e.g. `24h`; empty = the contract's. Time travel reaches no
  further back.

### When it fails
Rows, sums or files are not as promised, an engine failed, or a streaming job was restarted meanwhile: the last line of
the log says which tables and hours. What fails with one hour or table keeps no other from its turn, and never the
expiry. When a streaming job needs the slot the run yields: the next one takes the hours up.

### Who cares
The analyst whose queries get slow on many small files; the disk.
"""


@dag(
    schedule=load_contract().schedules["compact_paimon_partitions"],
    start_date=start_date(),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=TASK_DEFAULTS,
    tags=["pipeline", "maintenance"],
    doc_md=DOC,
    params={
        "snapshot_retention": Param(
            "",
            type="string",
            pattern=r"^(\s*\d+\s*[smhd]\s*)?$",
            description_md="Snapshots older than this expire, e.g. `24h`; empty = the contract's",
        )
    },
)
def compact_paimon_partitions() -> None:
    @task(pool=BATCH_POOL, execution_timeout=timedelta(minutes=50))
    def close_hours() -> bool:
        from upbit_lake.tasks import compact

        return compact.close_hours()

    # Runs even if closing failed: without expiry the disk fills up. A failed `close_hours` still fails the run, because
    # `hours_were_closed` needs it.
    @task(pool=BATCH_POOL, execution_timeout=timedelta(minutes=20), trigger_rule="all_done")
    def expire() -> str:
        from upbit_lake.tasks import compact

        return compact.expire(get_current_context()["params"]["snapshot_retention"])

    @task.short_circuit
    def hours_were_closed(closed: bool) -> bool:
        from upbit_lake.tasks import compact

        return compact.hours_were_closed(closed)

    verify = TriggerDagRunOperator(task_id="verify", trigger_dag_id="verify_paimon_partitions")
    closed = close_hours()
    # mypy knows no XComArg as the bool that the task is given.
    closed >> expire() >> hours_were_closed(closed) >> verify  # type: ignore[arg-type]


compact_paimon_partitions()
