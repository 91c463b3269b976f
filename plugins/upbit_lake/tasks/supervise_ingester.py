"""The task of `supervise_ingester`: one look at the ingester, within the lease, with the memory of the last run."""

from __future__ import annotations

from airflow.sdk import Asset, get_current_context

from upbit_lake.engines.ingester.choice import ingester_control
from upbit_lake.state.leases import INGESTER
from upbit_lake.supervise.ingester import supervise_ingester
from upbit_lake.supervise.memory import IngesterMemory
from upbit_lake.tasks.connections import contract_and_settings, open_database
from upbit_lake.tasks.leases import leased
from upbit_lake.tasks.log import conclude, conclude_report
from upbit_lake.tasks.memory import remembered


def look_and_restart(asset: Asset) -> str:
    """Look at the ingester and act; fails without a retry when it could not be helped."""
    contract, settings = contract_and_settings()
    control, bounds = ingester_control(settings), contract.budgets["ingester"]
    with open_database() as db, leased(db, INGESTER, get_current_context()["run_id"]) as reason:
        if reason:
            return conclude(f"skipped: {reason}")
        with remembered(asset, IngesterMemory, db, INGESTER) as memory:
            report = supervise_ingester(control, settings.ingester_url, bounds, db, memory)
    return conclude_report(report.text, report.failed)
