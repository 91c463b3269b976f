"""Leaves a verdict on every closed hour: is it whole in itself, and is each Kafka offset accounted for?"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag, get_current_context, task

from upbit_lake.contract.reader import load_contract
from upbit_lake.tasks.policy import TASK_DEFAULTS, start_date

DOC = """
### What it does
For each closed hour that changed since it was verified (or whose verdict was red or late), reading with another
implementation than the writer's, a verdict of two levels in PostgreSQL (`verdict` in database `pipeline`):
* *structural*: the hour exists, no key in two hours, required columns never NULL, physical rows = logical rows, files
  as promised, candles equal the trades to the last digit.
* *coverage*: each Kafka offset is in the lake, or left out on purpose (a SNAPSHOT), or replaced by its own key. A
  record that cannot be stored goes to `dead_letter` with its bytes and the reason. The rest is a loss.

`green`, `red`, `partial` (the source was not there for the whole hour), `late` (not yet to be said), `log_expired`
(Kafka deleted what would prove it).

### Parameters
* `hour`: verify this hour again, e.g. `2026-11-23T09` (UTC); empty = the list.

### When it fails
At once and without retry when a verdict is red, or when the lake has nothing of the `hour` asked for; the last line of
the log names table, hour and keys. Engines that do not answer are retried.

### Who cares
Whoever answers for the data. A loss is refetched by `repair_lake_gaps` where that DAG exists.
"""


@dag(
    schedule=load_contract().schedules["verify_paimon_partitions"],
    start_date=start_date(),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=TASK_DEFAULTS,
    tags=["pipeline", "verification"],
    doc_md=DOC,
    params={
        "hour": Param(
            "",
            type="string",
            pattern=r"^(\d{4}-\d{2}-\d{2}T\d{2})?$",
            description_md="One hour to verify, UTC, e.g. `2026-11-23T09`; empty = the list",
        )
    },
)
def verify_paimon_partitions() -> None:
    @task(execution_timeout=timedelta(minutes=50))
    def verify_hours() -> str:
        from upbit_lake.tasks import verify

        return verify.verify_hours(get_current_context()["params"]["hour"])

    verify_hours()


verify_paimon_partitions()
