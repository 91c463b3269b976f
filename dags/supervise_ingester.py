"""Looks at the ingester each minute and brings it back when it is dead or stuck."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Asset, dag, task

from upbit_lake.contract.reader import load_contract
from upbit_lake.tasks.policy import SUPERVISION_POOL, SUPERVISION_PRIORITY, TASK_DEFAULTS, start_date

DOC = """
### What it does
The ingester's own supervisor restarts a crashed process; this DAG covers what that one cannot see or has given up on.
It restarts what is dead, what says `/livez` red and what receives frames but does not spool them, and waits until
`/livez` is green. A silent exchange, a finished recording or a Kafka outage opens an alarm and nothing else: a healthy
process that spools loses nothing, killing it would.

### Budget
Restarts are counted across runs, with a growing wait between them (`[budgets.ingester]` in the contract). Over budget
the run fails and one alarm is opened; it closes when the ingester is healthy again.

### When it fails
A restart did not work, the budget is used up, or the supervisor does not answer. The last line of the log says which.

### Who cares
Whoever is on call: without the ingester nothing of the exchange is kept. While `bootstrap_pipeline` works it
skips its runs.
"""

MEMORY = Asset("ingester_supervision")


@dag(
    schedule=load_contract().schedules["supervise_ingester"],
    start_date=start_date(),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=TASK_DEFAULTS,
    tags=["pipeline", "supervision"],
    doc_md=DOC,
)
def supervise_ingester() -> None:
    @task(
        inlets=[MEMORY],
        pool=SUPERVISION_POOL,
        priority_weight=SUPERVISION_PRIORITY,
        execution_timeout=timedelta(minutes=5),
    )
    def look_and_restart() -> str:
        from upbit_lake.tasks import supervise_ingester

        return supervise_ingester.look_and_restart(MEMORY)

    look_and_restart()


supervise_ingester()
