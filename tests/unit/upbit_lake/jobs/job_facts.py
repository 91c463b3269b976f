"""Facts about the trade job as a test needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from upbit_lake.contract.reader import load_contract
from upbit_lake.engines.flink.jobmanager import JobSummary
from upbit_lake.jobs.facts import JobFacts
from upbit_lake.jobs.restore_points import RestorePoint
from upbit_lake.state.job_runs import JobRun

TOPICS, TABLES = {"upbit-trade": "new"}, {"trade": 100, "candle_1m": 100}
OLD = JobRun("a" * 32, "upbit trade", "first", "f", {"upbit-trade": "old"}, TABLES)
NEW = replace(OLD, job_id="b" * 32, topic_ids=TOPICS)
TRADE = load_contract().jobs["trade"]


def facts(
    *runs: JobRun,
    live: Sequence[JobSummary] = (),
    points: Mapping[str, RestorePoint] | None = None,
    fingerprint: str = "f",
) -> JobFacts:
    """`points`: job id → what it left to restore from."""
    left = dict(points or {})

    def list_points(ids: Sequence[str]) -> list[RestorePoint]:
        return [left[jid] for jid in ids if jid in left]

    return JobFacts(TRADE, live, runs, TOPICS, TABLES, fingerprint, list_points)
