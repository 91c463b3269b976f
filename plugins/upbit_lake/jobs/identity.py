"""What a streaming job is: its name in Flink, its settings, the tables it writes, the fingerprint of all that."""

from __future__ import annotations

import hashlib
import re

from upbit_lake.contract.model import Contract, Job, Stream
from upbit_lake.engines.flink.session import STREAMING


def pipeline_name(contract: Contract, job: Job) -> str:
    """The name under which Flink runs a job: the key by which it is found."""
    return f"{contract.lake.database} {job.name}"


def job_properties(contract: Contract, job: Job) -> dict[str, str]:
    """The settings of a job's session. A restart by Flink itself never gives up: the supervising DAG does."""
    return {
        **STREAMING,
        "pipeline.name": pipeline_name(contract, job),
        "parallelism.default": str(job.parallelism),
        "execution.checkpointing.interval": f"{contract.checkpoints.interval_s} s",
        "execution.checkpointing.timeout": f"{contract.checkpoints.timeout_s} s",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "30 s",
    }


def fingerprint(contract: Contract, job: Job) -> str:
    """Changes when a job's SQL, its sources or its settings change; not with endpoints, secrets or starting points."""
    digest = hashlib.sha256()
    for path in [contract.root / job.sql, *sorted((contract.root / "sql" / "sources").glob("*.sql"))]:
        digest.update(path.read_bytes())
    digest.update(repr(sorted(job_properties(contract, job).items())).encode())
    digest.update(str(contract.lake.snapshot_max_age_s).encode())
    return digest.hexdigest()[:16]


def written_tables(contract: Contract, job: Job) -> list[str]:
    """The lake tables that a job's SQL writes, derived ones (candles) included."""
    text = (contract.root / job.sql).read_text(encoding="utf-8")
    written = set(re.findall(r"INSERT\s+INTO\s+(?:\w+\.)+(\w+)", text, re.IGNORECASE))
    return [table for table in contract.tables if table in written]


def streams_of(contract: Contract, job: Job) -> list[Stream]:
    """The streams that a job carries into the lake."""
    return [stream for stream in contract.streams.values() if stream.job == job.name]
