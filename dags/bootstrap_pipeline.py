"""Builds the pipeline on engines that run, or checks the one that is there."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag, get_current_context, task

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
        from upbit_lake.reconcile.services import wait_for_services
        from upbit_lake.tasks.connections import open_engines
        from upbit_lake.tasks.leases import hold_leases
        from upbit_lake.tasks.log import conclude

        with open_engines() as engines:
            found = wait_for_services(engines, timeout_s=120)
        hold_leases(get_current_context()["run_id"])
        return conclude("; ".join(f"{name}: {answer}" for name, answer in found.items()))

    @task
    def topics() -> str:
        from upbit_lake.reconcile.access import access_drift
        from upbit_lake.reconcile.topics import reconcile_topics
        from upbit_lake.tasks.connections import contract_and_settings, kafka_admin
        from upbit_lake.tasks.leases import hold_leases
        from upbit_lake.tasks.log import conclude_outcomes

        context = get_current_context()
        params = context["params"]
        hold_leases(context["run_id"])
        contract, settings = contract_and_settings()
        admin, wanted = kafka_admin(), contract.topics.values()
        found = reconcile_topics(admin, wanted, params["repair"], params["grow_partitions"], params["dry_run"])
        return conclude_outcomes({**found, **access_drift(admin, contract, settings.kafka)})

    @task
    def buckets() -> str:
        from upbit_lake.reconcile.buckets import reconcile_buckets
        from upbit_lake.tasks.connections import contract_and_settings, s3_client
        from upbit_lake.tasks.leases import hold_leases
        from upbit_lake.tasks.log import conclude_outcomes

        context = get_current_context()
        hold_leases(context["run_id"])
        contract, _ = contract_and_settings()
        return conclude_outcomes(reconcile_buckets(s3_client(), contract.buckets, context["params"]["dry_run"]))

    @task
    def lake_tables() -> str:
        from upbit_lake.engines.flink.gateway import FlinkGateway
        from upbit_lake.engines.flink.session import lake_session
        from upbit_lake.reconcile.tables import reconcile_database, reconcile_tables
        from upbit_lake.tasks.connections import contract_and_settings, s3_client
        from upbit_lake.tasks.leases import hold_leases
        from upbit_lake.tasks.log import conclude_outcomes

        context = get_current_context()
        params = context["params"]
        hold_leases(context["run_id"])
        contract, settings = contract_and_settings()
        with lake_session(FlinkGateway(settings.flink_gateway_url), contract, settings, "bootstrap") as session:
            database = reconcile_database(session, contract, params["dry_run"])
            tables = reconcile_tables(session, contract, settings, s3_client(), params["repair"], params["dry_run"])
        return conclude_outcomes({f"database {contract.lake.database}": database, **tables})

    @task
    def streaming_jobs() -> str:
        from upbit_lake.reconcile.jobs import reconcile_jobs
        from upbit_lake.tasks.connections import open_engines
        from upbit_lake.tasks.leases import hold_leases
        from upbit_lake.tasks.log import conclude_outcomes

        context = get_current_context()
        params = context["params"]
        hold_leases(context["run_id"])
        with open_engines() as engines:
            return conclude_outcomes(reconcile_jobs(engines, params["repair"], params["dry_run"]))

    @task
    def ingester() -> str:
        from upbit_lake.engines.ingester.choice import ingester_control
        from upbit_lake.reconcile.ingester import ensure_running
        from upbit_lake.tasks.connections import contract_and_settings
        from upbit_lake.tasks.leases import hold_leases
        from upbit_lake.tasks.log import conclude_outcomes

        context = get_current_context()
        params = context["params"]
        hold_leases(context["run_id"])
        _, settings = contract_and_settings()
        control = ingester_control(settings)
        outcome = ensure_running(control, settings.ingester_url, params["repair"], params["dry_run"])
        return conclude_outcomes({"ingester": outcome})

    @task(trigger_rule="all_done")
    def release_leases() -> str:
        from upbit_lake.tasks.leases import give_leases_back
        from upbit_lake.tasks.log import conclude

        give_leases_back(get_current_context()["run_id"])
        return conclude("the supervising DAGs may work")

    @task(execution_timeout=timedelta(hours=1, minutes=5))
    def first_rows() -> str:
        from upbit_lake.reconcile.first_rows import wait_for_rows
        from upbit_lake.tasks.connections import open_engines
        from upbit_lake.tasks.log import conclude

        params = get_current_context()["params"]
        bound = 0 if params["dry_run"] else params["first_rows_within_s"]
        with open_engines() as engines:
            found = wait_for_rows(engines, bound)
        return conclude("; ".join(f"{name}: {state}" for name, state in found.items()))

    tables = lake_tables()
    # A run is judged by its last tasks: `release_leases` succeeds after a failure, `first_rows` does not.
    ending = [release_leases(), first_rows()]
    services_reachable() >> [topics(), buckets()] >> tables >> streaming_jobs() >> ingester() >> ending


bootstrap_pipeline()
