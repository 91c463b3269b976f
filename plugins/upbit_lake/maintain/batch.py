"""What all maintenance does on Flink: it waits for a slot that no streaming job needs, and runs a file of SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upbit_lake.contract.sql_files import load_statements, sql_variables
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.gateway import GatewaySession
from upbit_lake.engines.flink.slots import await_slot
from upbit_lake.jobs.identity import pipeline_name

# A job that restarts has its slots again within some seconds; what takes longer is a loss, which is not waited for.
SLOT_WAIT_S = 120.0
# A compaction of a run's hours takes minutes; the task that asks for it ends after 50.
STATEMENT_S = 1500.0


def job_names(engines: Engines) -> list[str]:
    """The streaming jobs as Flink calls them."""
    return [pipeline_name(engines.contract, job) for job in engines.contract.jobs.values()]


def wait_for_batch_slot(engines: Engines) -> None:
    """Wait until batch work may run; raises BatchYieldsError after SLOT_WAIT_S, FlinkRestError."""
    await_slot(engines.flink, job_names(engines), SLOT_WAIT_S, engines.clock)


def run_file(engines: Engines, session: GatewaySession, file: str, values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Run `sql/maintenance/<file>.sql` and give the rows of its last statement; raises GatewayError."""
    contract = engines.contract
    variables = {**sql_variables(contract, engines.settings), "DATABASE": contract.lake.database, **values}
    path = contract.root / "sql" / "maintenance" / f"{file}.sql"
    return session.run_all(load_statements(path, variables), STATEMENT_S)[-1].dicts()
