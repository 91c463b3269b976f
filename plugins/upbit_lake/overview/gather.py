"""Asks all engines at the same time, each for a bounded time, and keeps what each answered. It judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Thread
from typing import Any, Generic, TypeVar

from upbit_lake.contract.lake_sql import lake_sql
from upbit_lake.contract.model import Contract
from upbit_lake.contract.settings import Settings
from upbit_lake.contract.sql_files import RawSql
from upbit_lake.engines.clock import SYSTEM, Clock
from upbit_lake.engines.flink.jobmanager import (
    CheckpointStatus,
    Cluster,
    FlinkRest,
    FlinkRestError,
    FlinkUnreachableError,
    JobSummary,
)
from upbit_lake.engines.ingester.choice import ingester_control
from upbit_lake.engines.ingester.probe import ObservedIngester, observe
from upbit_lake.engines.kafka.offsets import ClusterOffsets, group_of, read_cluster
from upbit_lake.engines.lake.reader import LakeReader, ProcessReader
from upbit_lake.engines.postgres import Row, connect
from upbit_lake.hours.hour import Hour, event_ms
from upbit_lake.state import alarms, audits, ingester_gaps, leases, schema, supervision, verdicts
from upbit_lake.state.audits import Gap
from upbit_lake.state.ingester_gaps import IngesterGap
from upbit_lake.supervise.jobs import JobsSight

# Seconds. All engines together have so long; two that do not answer must not keep a person waiting for ten.
BOUND_S = 8.0
# What a client waits by itself, so that a refused or lost connection is named in its own words.
CLIENT_S = 3.0
# The lake's reader is a process: it is ended before the look is over, else it would outlive it.
READER_SHARE = 0.9

T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What one engine answered, or None and the reason in one line.

    `at`: when (epoch seconds): what it says is judged by that moment, not by that of the slowest. `seconds`: how long
    it took.
    """

    value: T | None
    reason: str = ""
    at: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class FlinkAnswer:
    """What the JobManager said of its jobs at one moment; asked again, it says the same.

    `details`: of each job that is not final its checkpoints and restart counter, or the error instead of them.
    """

    summary: Cluster
    entries: Sequence[JobSummary]
    details: Mapping[str, tuple[CheckpointStatus, int] | FlinkRestError]

    def cluster(self) -> Cluster:
        """TaskManagers and slots."""
        return self.summary

    def jobs(self) -> list[JobSummary]:
        """All jobs, final ones included."""
        return list(self.entries)

    def checkpoints(self, jid: str) -> CheckpointStatus:
        """Checkpoint counts and the newest completed checkpoint; raises the error that was the answer."""
        return self._detail(jid)[0]

    def restarts(self, jid: str) -> int:
        """How often the job restarted since it was submitted; raises the error that was the answer."""
        return self._detail(jid)[1]

    def _detail(self, jid: str) -> tuple[CheckpointStatus, int]:
        found = self.details[jid]
        if isinstance(found, FlinkRestError):
            raise found
        return found


@dataclass(frozen=True)
class StreamFreshness:
    """What a stream's table holds: newest event (exchange's time, ms), newest write (UTC), rows of the running hour."""

    newest_event_ms: int | None
    written_at: datetime | None
    hour_rows: int


@dataclass(frozen=True)
class PostgresAnswer:
    """What the control plane remembers; rows as `state` gives them.

    `gaps` by topic, `ingester_gaps` by stream, `supervision` by subject.
    """

    schema_version: int
    alarms: Sequence[Row]
    leases: Sequence[Row]
    gaps: Mapping[str, Sequence[Gap]]
    ingester_gaps: Mapping[str, Sequence[IngesterGap]]
    verdict_counts: Sequence[Row]
    newest_verdicts: Sequence[Row]
    supervision: Mapping[str, Any]


@dataclass(frozen=True)
class Answers:
    """What every engine answered. `at`: when the last answer was there or given up (epoch seconds)."""

    kafka: Answer[ClusterOffsets]
    flink: Answer[FlinkAnswer]
    lake: Answer[dict[str, StreamFreshness]]
    postgres: Answer[PostgresAnswer]
    ingester: Answer[ObservedIngester]
    at: float


def gather(
    contract: Contract,
    settings: Settings,
    dsn: str,
    bound_s: float = BOUND_S,
    clock: Clock = SYSTEM,
) -> Answers:
    """Ask every engine; returns within about `bound_s` seconds, whatever answers.

    Args:
        dsn: libpq URL of the control database.
    """
    deadline = clock.monotonic() + bound_s
    hour = datetime.fromtimestamp(clock.now(), UTC)
    kafka = begin(lambda: ask_kafka(contract, settings), clock)
    flink = begin(lambda: ask_flink(FlinkRest(settings.flink_rest_url)), clock)
    lake = begin(
        lambda: ask_lake(contract, ProcessReader.connect(contract, settings), hour, bound_s * READER_SHARE), clock
    )
    postgres = begin(lambda: ask_postgres(contract, dsn), clock)
    ingester = begin(lambda: observe(ingester_control(settings), settings.ingester_url), clock)
    return Answers(
        kafka=end(kafka, deadline, clock),
        flink=end(flink, deadline, clock),
        lake=end(lake, deadline, clock),
        postgres=end(postgres, deadline, clock),
        ingester=end(ingester, deadline, clock),
        at=clock.now(),
    )


def begin(ask: Callable[[], T], clock: Clock = SYSTEM) -> Future[Answer[T]]:
    """Ask in a thread that does not keep the process alive: a client that hangs cannot be stopped."""
    future: Future[Answer[T]] = Future()

    def run() -> None:
        began = clock.monotonic()
        try:
            value, reason = ask(), ""
        except Exception as error:  # each client has exceptions of its own; the text is what counts
            value, reason = None, _line(error)
        future.set_result(Answer(value, reason, clock.now(), round(clock.monotonic() - began, 2)))

    Thread(target=run, daemon=True).start()
    return future


def end(future: Future[Answer[T]], deadline: float, clock: Clock = SYSTEM) -> Answer[T]:
    """The answer, waited for until `deadline` (the clock's monotonic seconds) at the latest."""
    try:
        return future.result(max(0.0, deadline - clock.monotonic()))
    except TimeoutError:
        return Answer(None, "no answer in time")


def ask_kafka(contract: Contract, settings: Settings) -> ClusterOffsets:
    """Brokers, and the offsets of each stream whose topic exists, by topic; raises KafkaAnswerError."""
    groups = {stream.topic: group_of(stream.sql_name) for stream in contract.streams.values()}
    return read_cluster(settings.kafka, groups, CLIENT_S)


def ask_flink(flink: JobsSight) -> FlinkAnswer:
    """The cluster, its jobs and what is to be known of the live ones; raises FlinkUnreachableError."""
    cluster, entries = flink.cluster(), flink.jobs()

    def detail(jid: str) -> tuple[CheckpointStatus, int] | FlinkRestError:
        try:
            return flink.checkpoints(jid), flink.restarts(jid)
        except FlinkUnreachableError:
            raise
        except FlinkRestError as error:
            return error

    return FlinkAnswer(cluster, entries, {item.jid: detail(item.jid) for item in entries if not item.final})


def ask_lake(contract: Contract, reader: LakeReader, hour: datetime, timeout_s: float) -> dict[str, StreamFreshness]:
    """The freshness of each stream's table, by the statistics of its files: no row is read, no Flink is asked."""
    running = vars(Hour.of(hour))
    queries = [
        lake_sql(contract, "status/stream", table=RawSql(stream.table), time=RawSql(stream.time), **running)
        for stream in contract.streams.values()
    ]
    answers = reader.query_all(queries, timeout_s)
    return {name: _freshness(answer.to_pylist()[0]) for name, answer in zip(contract.streams, answers, strict=True)}


def _freshness(row: Mapping[str, Any]) -> StreamFreshness:
    newest, written = row["newest_event"], row["written_at"]
    return StreamFreshness(
        newest_event_ms=event_ms(newest) if newest is not None else None,
        written_at=written.replace(tzinfo=UTC) if written else None,
        hour_rows=row["hour_rows"] or 0,
    )


def ask_postgres(contract: Contract, dsn: str) -> PostgresAnswer:
    """What is remembered; raises SchemaError for a database that this code cannot read."""
    with connect(dsn) as db:
        newest = schema.migrations(schema.FOLDER)[-1].number
        found = schema.version(db)
        if found != newest:
            raise schema.SchemaError(f"the control database has schema {found}, this code reads {newest}")
        return PostgresAnswer(
            schema_version=found,
            alarms=alarms.open_alarms(db),
            leases=leases.held(db),
            gaps={topic: audits.read_gaps(db, topic) for topic in contract.topics},
            ingester_gaps={name: ingester_gaps.missing(db, name) for name in contract.streams},
            verdict_counts=verdicts.counts(db),
            newest_verdicts=verdicts.newest(db),
            supervision=supervision.last(db),
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
