"""The steps of `bootstrap_pipeline`. Each that changes something holds the leases and reports its outcomes."""

from __future__ import annotations

from dataclasses import dataclass

from airflow.sdk import get_current_context

from upbit_lake.engines.flink.session import lake_session
from upbit_lake.engines.ingester.choice import ingester_control
from upbit_lake.reconcile.access import access_drift
from upbit_lake.reconcile.buckets import reconcile_buckets
from upbit_lake.reconcile.first_rows import wait_for_rows
from upbit_lake.reconcile.ingester import ensure_running
from upbit_lake.reconcile.jobs import reconcile_jobs
from upbit_lake.reconcile.services import wait_for_services
from upbit_lake.reconcile.tables import reconcile_database, reconcile_tables
from upbit_lake.reconcile.topics import reconcile_topics
from upbit_lake.tasks.connections import contract_and_settings, open_engines
from upbit_lake.tasks.leases import give_leases_back, hold_leases
from upbit_lake.tasks.log import conclude, conclude_outcomes

# Flink needs 10 s to its slots and gateway, Kafka 8 s to a quorum; a machine that starts all at once needs longer.
SERVICES_WITHIN_S = 120


@dataclass(frozen=True)
class Run:
    """The run of the DAG that a step belongs to: its id, which owns the leases, and its parameters."""

    run_id: str
    repair: bool
    grow_partitions: bool
    dry_run: bool
    first_rows_within_s: int


def current_run() -> Run:
    """The run of the present task."""
    context = get_current_context()
    names = ("repair", "grow_partitions", "dry_run", "first_rows_within_s")
    return Run(context["run_id"], **{name: context["params"][name] for name in names})


def holding_leases() -> Run:
    """The run of the present task, with its leases taken or renewed: every step that changes something begins here."""
    run = current_run()
    hold_leases(run.run_id)
    return run


def services_reachable() -> str:
    """Wait for all engines, then take the leases."""
    with open_engines() as engines:
        answers = wait_for_services(engines, SERVICES_WITHIN_S)
    holding_leases()
    return conclude("; ".join(f"{name}: {answer}" for name, answer in answers.items()))


def topics() -> str:
    """Create and repair topics; name rights that differ."""
    run = holding_leases()
    with open_engines() as engines:
        contract, kafka = engines.contract, engines.kafka
        outcomes = reconcile_topics(kafka, contract.topics.values(), run.repair, run.grow_partitions, run.dry_run)
        return conclude_outcomes({**outcomes, **access_drift(kafka, contract, engines.settings.kafka)})


def buckets() -> str:
    """Create buckets."""
    run = holding_leases()
    with open_engines() as engines:
        return conclude_outcomes(reconcile_buckets(engines.s3, engines.contract.buckets, run.dry_run))


def lake_tables() -> str:
    """Create the database and its tables; repair what loses nothing."""
    run = holding_leases()
    with open_engines() as engines:
        contract, settings = engines.contract, engines.settings
        with lake_session(engines.gateway, contract, settings, "bootstrap") as session:
            database = reconcile_database(session, contract, run.dry_run)
            tables = reconcile_tables(session, contract, settings, engines.s3, run.repair, run.dry_run)
    return conclude_outcomes({f"database {contract.lake.database}": database, **tables})


def streaming_jobs() -> str:
    """Start, resume, replace or renew the streaming jobs."""
    run = holding_leases()
    with open_engines() as engines:
        return conclude_outcomes(reconcile_jobs(engines, run.repair, run.dry_run))


def ingester() -> str:
    """Start the ingester when it does not run."""
    run = holding_leases()
    _, settings = contract_and_settings()
    control = ingester_control(settings)
    return conclude_outcomes({"ingester": ensure_running(control, settings.ingester_url, run.repair, run.dry_run)})


def release_leases() -> str:
    """Give the leases back, also when a step has failed."""
    give_leases_back(current_run().run_id)
    return conclude("the supervising DAGs may work")


def first_rows() -> str:
    """Wait until every stream with data has rows in the lake; a dry run only looks."""
    run = current_run()
    with open_engines() as engines:
        found = wait_for_rows(engines, 0 if run.dry_run else run.first_rows_within_s)
    return conclude("; ".join(f"{name}: {state}" for name, state in found.items()))
