"""From where is a job started? Pure: the rungs of the ladder, in order.

Newest completed checkpoint or savepoint, then older ones, then a Kafka time safely before the lake's last commit.
Kafka's committed offsets alone can skip, because Paimon's commit and Kafka's are independent: they are never used to
restart. Each replay is harmless, for rows with the same key replace each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upbit_lake.engines.flink.session import Startup
from upbit_lake.jobs.restore_points import RestorePoint
from upbit_lake.state.job_runs import JobRun

# More than the newest few mean that not the checkpoint is at fault.
RESTORE_TRIES = 2
EARLIEST = Startup()


@dataclass(frozen=True)
class Rung:
    """One way to start a job: from `recovery_path` (an S3 URL) or, without it, from where `startup` says."""

    description: str
    recovery_path: str | None
    startup: Startup = EARLIEST


def first_start() -> list[Rung]:
    """The only rung of a job that never ran: everything the topics retain."""
    return [Rung("the earliest retained record (first start)", None)]


def from_earliest(reason: str) -> list[Rung]:
    """The only rung after a topic or table was recreated: old state would skip or point into nothing."""
    return [Rung(f"the earliest retained record, without state ({reason})", None)]


def restored(points: Sequence[RestorePoint]) -> list[Rung]:
    """The upper rungs of a job that ran before: what it left to restore from, newest first."""
    return [Rung(f"{point.kind} {point.path}", point.path) for point in points[:RESTORE_TRIES]]


def replayed(replay_from_ms: int | None) -> Rung:
    """The last rung: without state, from a Kafka time (epoch ms) at which everything older is in the lake.

    None when the lake cannot tell: then everything that the topics retain is read again.
    """
    if replay_from_ms is None:
        return Rung("the earliest retained record (the lake cannot tell how far it is)", None)
    startup = Startup("timestamp", replay_from_ms)
    return Rung(f"Kafka time {replay_from_ms} ms, before the lake's last commit", None, startup)


def recreated(run: JobRun, topic_ids: Mapping[str, str], table_ids: Mapping[str, int]) -> list[str]:
    """What of a run's topics and tables was deleted and created again since it started, in words."""
    topics = [f"topic {name}" for name, known in run.topic_ids.items() if topic_ids.get(name, known) != known]
    tables = [f"table {name}" for name, known in run.table_ids.items() if table_ids.get(name, known) != known]
    return topics + tables
