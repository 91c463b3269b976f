"""What the contract holds: streams, topics, buckets, tables, jobs, bounds and schedules, as frozen dataclasses.

`pipeline.toml` is the one place that names them; `reader` reads it strictly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

CONTRACT_FILE = Path(__file__).resolve().parents[3] / "pipeline.toml"


class ContractError(ValueError):
    """`pipeline.toml` cannot be used. The message is one line: which key, what is wrong, what to do."""


@dataclass(frozen=True)
class Lake:
    """Where the tables live: catalog name in Flink, database, warehouse URL. `snapshot_max_age_s`: seconds."""

    catalog: str
    database: str
    warehouse: str
    snapshot_max_age_s: int


@dataclass(frozen=True)
class Bucket:
    """An S3 bucket and what it is for."""

    purpose: str
    name: str = ""


@dataclass(frozen=True)
class Stream:
    """A stream of the exchange: its topic, table and job, and what is special about it.

    Attributes:
        key: the fields that identify one event.
        time: the field that holds the exchange's clock, in ms.
        snapshots: which SNAPSHOT frames the lake stores: none, or those within `lake.snapshot_max_age_s`.
        sheddable: whether the ingester may drop events when its spool is nearly full.
        expires: whether the ingester may drop events that have waited in its spool for too long.
        quiet_after_s: a code without an event for so long (seconds) is reported as quiet.
        refetch: which REST resource gives missed events again; None where there is none.
    """

    topic: str
    table: str
    job: str
    key: tuple[str, ...]
    time: str
    snapshots: Literal["never", "recent"] = "recent"
    sheddable: bool = False
    expires: bool = False
    quiet_after_s: int = 3600
    refetch: Literal["trades"] | None = None
    name: str = ""

    @property
    def sql_name(self) -> str:
        """The name as SQL and Kafka's consumer groups can carry it: `candle.1s` is `candle_1s`."""
        return re.sub(r"\W", "_", self.name)


@dataclass(frozen=True)
class Derived:
    """A table that is computed from a stream's table. `time` is the column that its partition is made of.

    `sql/maintenance/exact_<table>.sql` computes the rows of an hour exactly, `sql/lake/verify/exact_<table>.sql` names
    the rows that differ.
    """

    source: str = field(metadata={"key": "from"})
    time: str
    name: str = ""


@dataclass(frozen=True)
class DeadLetter:
    """Where records go that no stream can take."""

    topic: str
    table: str
    job: str


@dataclass(frozen=True)
class Topic:
    """A Kafka topic as it should be. Settings not in `config` are the broker's."""

    partitions: int
    replication: int
    config: Mapping[str, str]
    name: str = ""


@dataclass(frozen=True)
class Access:
    """What a principal may do in Kafka: operations on all topics of the contract, on that of the dead letters alone, on
    the consumer groups of our name, on the cluster. Nothing else.
    """

    topics: frozenset[str]
    dead_letter: frozenset[str]
    groups: frozenset[str]
    cluster: frozenset[str]
    name: str = ""


@dataclass(frozen=True)
class Table:
    """Bounds of a lake table; its columns live in `sql/tables/<name>.sql`. `retention_d`: days."""

    retention_d: int
    name: str = ""


@dataclass(frozen=True)
class Job:
    """A streaming job. `sql` is relative to the repository, `freshness_s` bounds the last checkpoint's age (s)."""

    sql: str
    parallelism: int
    freshness_s: int
    name: str = ""


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoint interval and timeout (s) and the S3 URLs of checkpoints and savepoints."""

    interval_s: int
    timeout_s: int
    directory: str
    savepoint_directory: str


@dataclass(frozen=True)
class Hours:
    """Bounds of the hourly work: seconds (`_s`), hours (`_h`), MiB (`_mb`), hours a run (`per_run`)."""

    grace_s: int
    source_ended_s: int
    per_run: int
    snapshot_retention_h: int
    target_file_size_mb: int


@dataclass(frozen=True)
class Budget:
    """Restarts allowed within `window_s`; before restart n > 1 wait first_wait_s * 2^(n-2), at most max_wait_s."""

    restarts: int
    window_s: int
    first_wait_s: int
    max_wait_s: int


@dataclass(frozen=True)
class Contract:
    """The whole of `pipeline.toml`."""

    lake: Lake
    buckets: Mapping[str, Bucket]
    streams: Mapping[str, Stream]
    dead_letter: DeadLetter
    topics: Mapping[str, Topic]
    access: Mapping[str, Access]
    tables: Mapping[str, Table]
    jobs: Mapping[str, Job]
    checkpoints: Checkpoints
    hours: Hours
    budgets: Mapping[str, Budget]
    schedules: Mapping[str, str]
    derived: Mapping[str, Derived] = field(default_factory=dict)
    root: Path = field(default=CONTRACT_FILE.parent)

    def stream_of_table(self, table: str) -> Stream | None:
        """The stream that a table stores, or None (derived tables, dead letters)."""
        return next((stream for stream in self.streams.values() if stream.table == table), None)

    def time_column(self, table: str) -> str | None:
        """The column that holds the time that a table's partitions are made of; None for the dead letters."""
        stream, derived = self.stream_of_table(table), self.derived.get(table)
        return stream.time if stream else derived.time if derived else None

    def source_table(self, table: str) -> str | None:
        """The table that a derived table is computed from; None for a table that a job alone writes."""
        derived = self.derived.get(table)
        return self.streams[derived.source].table if derived else None

    def derived_from(self, table: str) -> list[str]:
        """The tables that are computed from `table`."""
        return [name for name in self.derived if self.source_table(name) == table]

    def topics_of_job(self, job: str) -> tuple[str, ...]:
        """The topics that a job reads, streams first, then the dead letters when it owns them."""
        owned = [stream.topic for stream in self.streams.values() if stream.job == job]
        return (*owned, self.dead_letter.topic) if self.dead_letter.job == job else tuple(owned)
