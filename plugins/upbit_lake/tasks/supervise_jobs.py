"""The task of `supervise_streaming_jobs`: one look at the jobs, within the lease, with the memory of the last run."""

from __future__ import annotations

from airflow.sdk import Asset, get_current_context

from upbit_lake.state.leases import STREAMING_JOBS
from upbit_lake.supervise.jobs import supervise_jobs
from upbit_lake.supervise.memory import JobsMemory
from upbit_lake.tasks.connections import open_engines
from upbit_lake.tasks.leases import blocked_reason, leased
from upbit_lake.tasks.log import conclude, conclude_report
from upbit_lake.tasks.memory import remembered


def look_and_restart(asset: Asset) -> str:
    """Look at every job and act; fails without a retry when one of them could not be helped."""
    owner = get_current_context()["run_id"]
    with open_engines() as engines:
        reason = blocked_reason(engines.db, STREAMING_JOBS, owner)
        if reason:
            return conclude(f"skipped: {reason}")
        with remembered(asset, JobsMemory, engines.db, STREAMING_JOBS) as memory:
            reports = supervise_jobs(engines, memory, lambda: leased(engines.db, STREAMING_JOBS, owner))
    line = "; ".join(f"{name}: {report.text}" for name, report in reports.items())
    return conclude_report(line, failed=any(report.failed for report in reports.values()))
