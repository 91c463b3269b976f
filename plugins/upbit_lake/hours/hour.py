"""Which hours of which table are closed, and which of them want work. Decisions only; `lake_hours` gathers the facts.

An hour belongs to the exchange's clock, never to ours: an exchange that runs faster than real time, a recording of
years ago and a partition without trades all close by the same rule (docs/decisions/0010).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HOUR_MS = 3_600_000
KEY_FORMAT = "%Y-%m-%dT%H"
MOMENT_FORMAT = "%Y%m%dT%H%M%S%f"


class HourError(ValueError):
    """A text that names no hour. One line with the form that is wanted."""


@dataclass(frozen=True, order=True)
class Hour:
    """One hour in UTC, the lake's partition (dt, hh). Written `2026-11-23T09`."""

    dt: str
    hh: str

    @classmethod
    def parse(cls, text: str) -> Hour:
        """The hour written as `2026-11-23T09`; raises HourError."""
        try:
            return cls.of(datetime.strptime(text.strip(), KEY_FORMAT).replace(tzinfo=UTC))
        except ValueError:
            raise HourError(f"{text!r} is no hour; write it in UTC like 2026-11-23T09") from None

    @classmethod
    def of(cls, moment: datetime) -> Hour:
        """The hour that holds `moment` (time zone aware)."""
        utc = moment.astimezone(UTC)
        return cls(utc.strftime("%Y-%m-%d"), utc.strftime("%H"))

    @classmethod
    def of_ms(cls, epoch_ms: int) -> Hour:
        """The hour that holds `epoch_ms` (milliseconds since the epoch)."""
        return cls.of(datetime.fromtimestamp(epoch_ms // 1000, UTC))

    @property
    def start(self) -> datetime:
        """Its first moment, UTC."""
        return datetime.strptime(f"{self.dt}T{self.hh}", KEY_FORMAT).replace(tzinfo=UTC)

    @property
    def start_ms(self) -> int:
        """Its first moment in milliseconds since the epoch."""
        return int(self.start.timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        """The first moment after it in milliseconds since the epoch."""
        return self.start_ms + HOUR_MS

    def shifted(self, hours: int) -> Hour:
        """The hour `hours` later (or earlier)."""
        return Hour.of(self.start + timedelta(hours=hours))

    def __str__(self) -> str:
        return f"{self.dt}T{self.hh}"


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


@dataclass(frozen=True)
class PartitionState:
    """One (dt, hh) of a table as Paimon counts it. `record_count` is physical, before the merge by key."""

    table: str
    hour: Hour
    record_count: int
    file_count: int
    size_bytes: int
    updated_at: datetime

    @property
    def fingerprint(self) -> str:
        """Changes with every commit that touches the partition."""
        return f"{self.record_count}-{self.file_count}-{self.size_bytes}-{self.updated_at:{MOMENT_FORMAT}}"


def updated_at(fingerprint: str) -> datetime:
    """When the partition of a fingerprint was last written (UTC)."""
    return datetime.strptime(fingerprint.rpartition("-")[2], MOMENT_FORMAT).replace(tzinfo=UTC)


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


def neighbours(hour: Hour, present: Iterable[Hour]) -> tuple[list[Hour], list[Hour]]:
    """Of the hours that a table has: the last one before `hour`, and the first two after it."""
    hours = sorted(set(present))
    return [other for other in hours if other < hour][-1:], [other for other in hours if other > hour][:2]


def is_expired(written_at: datetime, retention_d: int, now: datetime) -> bool:
    """Whether the maintenance may have dropped an hour that was last written at `written_at`."""
    return now - written_at > timedelta(days=retention_d)
