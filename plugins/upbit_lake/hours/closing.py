"""Which hours of which table are closed, and which of them want work. Decisions only; `progress` gathers the facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from upbit_lake.hours.hour import Hour
from upbit_lake.hours.partitions import PartitionState


@dataclass(frozen=True)
class PartitionProgress:
    """How far the lake holds one Kafka partition: newest exchange time (ms) seen of it, and whether all is consumed."""

    newest_event_ms: int | None
    consumed: bool


@dataclass(frozen=True)
class Progress:
    """How far the lake holds a table's topic.

    `clock_ms`: the exchange's clock, the newest event of all streams in the lake (ms), None in an empty lake.
    `source_ended`: everything is consumed and nothing has arrived for `hours.source_ended_s`.
    """

    partitions: Mapping[int, PartitionProgress]
    clock_ms: int | None
    source_ended: bool = False


def open_reason(hour: Hour, progress: Progress, grace_s: int) -> str | None:
    """Why `hour` is still open, in words for a log; None when it is closed."""
    bound = hour.end_ms + grace_s * 1000
    if progress.source_ended:
        return None
    if progress.clock_ms is None:
        return "the lake holds no event yet"
    for number, partition in sorted(progress.partitions.items()):
        past_bound = partition.newest_event_ms is not None and partition.newest_event_ms >= bound
        quiet = partition.consumed and progress.clock_ms >= bound
        if not (past_bound or quiet):
            return f"Kafka partition {number} is not past {hour.shifted(1)} + {grace_s} s"
    return None


def work_list(
    states: Iterable[PartitionState],
    done: Mapping[tuple[str, Hour], str],
    closed: Callable[[PartitionState], bool],
    limit: int,
) -> list[PartitionState]:
    """The closed partitions whose fingerprint is not the one in `done`, of the `limit` oldest hours.

    The limit counts hours, not partitions: the tables of one hour are worked together.
    """
    changed = [state for state in states if done.get((state.table, state.hour)) != state.fingerprint and closed(state)]
    hours = sorted({state.hour for state in changed})[:limit]
    return sorted((state for state in changed if state.hour in hours), key=lambda state: (state.hour, state.table))


def is_expired(written_at: datetime, retention_d: int, now: datetime) -> bool:
    """Whether the maintenance may have dropped an hour that was last written at `written_at`."""
    return now - written_at > timedelta(days=retention_d)
