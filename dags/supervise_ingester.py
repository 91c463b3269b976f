"""Looks at the ingester each minute and brings it back when it is dead or stuck."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Asset, dag, get_current_context, task

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
        from upbit_lake.engines.ingester.choice import ingester_control
        from upbit_lake.state.leases import INGESTER
        from upbit_lake.supervise import ingester as supervision
        from upbit_lake.tasks.connections import contract_and_settings, open_database
        from upbit_lake.tasks.log import conclude
        from upbit_lake.tasks.supervision import fail_loudly, keep, leased, recall

        context = get_current_context()
        store = context["asset_state_store"][MEMORY]
        memory = supervision.Memory.from_json(recall(store))
        contract, settings = contract_and_settings()
        control, bounds = ingester_control(settings), contract.budgets["ingester"]
        with open_database() as db, leased(db, INGESTER, context["run_id"]) as blocked:
            if blocked:
                return conclude(f"skipped: {blocked}")
            try:
                outcome = supervision.supervise_ingester(control, settings.ingester_url, bounds, db, memory)
            finally:
                keep(store, memory.to_json())
        line = conclude(outcome.text)
        if outcome.failed:
            fail_loudly(line)
        return line

    look_and_restart()


supervise_ingester()
