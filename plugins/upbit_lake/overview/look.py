"""The one look at the pipeline's health: what every engine answered, judged by the rules that supervision acts on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from upbit_lake.contract.model import Contract, Stream
from upbit_lake.engines.flink.jobmanager import JobSummary
from upbit_lake.engines.ingester.probe import ObservedIngester
from upbit_lake.engines.kafka.offsets import ClusterOffsets, TopicOffsets
from upbit_lake.jobs.identity import pipeline_name
from upbit_lake.overview.gather import Answer, Answers, FlinkAnswer, PostgresAnswer, StreamFreshness
from upbit_lake.state.leases import INGESTER, STREAMING_JOBS
from upbit_lake.supervise import ingester_health
from upbit_lake.supervise.ingester_health import IngesterCondition
from upbit_lake.supervise.job_health import JobCondition
from upbit_lake.supervise.jobs import judge_all
from upbit_lake.supervise.memory import IngesterMemory, JobsMemory

T = TypeVar("T")

# What is wrong around a healthy ingester is an alarm: it spools, and nothing is lost.
INGESTER_WORKS = (IngesterCondition.HEALTHY, IngesterCondition.ALARM)


@dataclass(frozen=True)
class EngineLook:
    """Whether an engine answered, what it said in one line or why it did not answer, and how long it took (s)."""

    engine: str
    answers: bool
    says: str
    seconds: float


@dataclass(frozen=True)
class StreamLook:
    """How far one stream is. Ages in seconds; what its engine did not say is None.

    `last_event_age_s`: of the newest event in the lake, by the exchange's clock. `last_written_age_s`: of the newest
    file. `kafka_end_offsets` by partition. `lag`: records that the job has not committed yet.
    `lake_rows_of_the_running_hour`: physical, before the merge by key.
    """

    stream: str
    last_event_age_s: float | None
    last_written_age_s: float | None
    kafka_end_offsets: Mapping[int, int]
    lag: int | None
    lake_rows_of_the_running_hour: int | None


@dataclass(frozen=True)
class JobLook:
    """One job of Flink's. `condition` and `reason` are supervision's; None for one that the contract does not name."""

    job: str
    condition: str | None
    reason: str | None
    state: str | None
    id: str | None
    tasks_running: str | None
    last_checkpoint_age_s: float | None


@dataclass(frozen=True)
class IngesterLook:
    """The ingester's condition and its reason, as supervision judges it."""

    condition: str
    reason: str


@dataclass(frozen=True)
class GapsLook:
    """What is not accounted for: offsets `of` a topic by kind, or the ingester's gaps `of` a stream by cause.

    `open`: how many of the ingester's gaps are still going on.
    """

    of: str
    kind: str
    count: int
    open: int | None = None


@dataclass(frozen=True)
class Look:
    """The whole pipeline at one moment. `healthy`: every engine answers, each job and the ingester work."""

    at: datetime
    healthy: bool
    engines: Sequence[EngineLook]
    streams: Sequence[StreamLook]
    jobs: Sequence[JobLook]
    ingester: IngesterLook | None
    alarms: Sequence[Mapping[str, Any]]
    leases: Sequence[Mapping[str, Any]]
    gaps: Sequence[GapsLook]
    verdict_counts: Sequence[Mapping[str, Any]]
    verdicts: Sequence[Mapping[str, Any]]
    schema_version: int | None


def look(contract: Contract, answers: Answers) -> Look:
    """Judge what was gathered, each engine by the moment of its answer."""
    engines = engine_looks(answers)
    remembered = answers.postgres.value
    seen_last = remembered.supervision if remembered else {}
    jobs = job_looks(contract, answers.flink, seen_last.get(STREAMING_JOBS))
    ingester = ingester_look(answers.ingester.value, seen_last.get(INGESTER))
    return Look(
        at=datetime.fromtimestamp(answers.at, UTC),
        healthy=is_healthy(engines, jobs, ingester),
        engines=engines,
        streams=stream_looks(contract, answers.kafka.value, answers.lake),
        jobs=jobs,
        ingester=ingester,
        alarms=remembered.alarms if remembered else [],
        leases=remembered.leases if remembered else [],
        gaps=gap_looks(remembered) if remembered else [],
        verdict_counts=remembered.verdict_counts if remembered else [],
        verdicts=remembered.newest_verdicts if remembered else [],
        schema_version=remembered.schema_version if remembered else None,
    )


def is_healthy(engines: Sequence[EngineLook], jobs: Sequence[JobLook], ingester: IngesterLook | None) -> bool:
    """Every engine answers, every job of the contract is healthy, the ingester needs no restart."""
    works = ingester is not None and ingester.condition in INGESTER_WORKS
    healthy = [job.condition == JobCondition.HEALTHY for job in jobs if job.condition is not None]
    return works and bool(healthy) and all(healthy) and all(engine.answers for engine in engines)


def engine_looks(answers: Answers) -> list[EngineLook]:
    """One line an engine."""
    return [
        _engine("kafka", answers.kafka, lambda kafka: f"{kafka.brokers} brokers"),
        _engine("flink", answers.flink, _cluster_line),
        _engine("lake", answers.lake, lambda _: "the newest files are read"),
        _engine("postgres", answers.postgres, lambda postgres: f"schema {postgres.schema_version}"),
        _engine("ingester", answers.ingester, lambda seen: f"its process is {seen.process.word}"),
    ]


def _engine(name: str, answer: Answer[T], words: Callable[[T], str]) -> EngineLook:
    if answer.value is None:
        return EngineLook(name, False, answer.reason, answer.seconds)
    return EngineLook(name, True, words(answer.value), answer.seconds)


def _cluster_line(flink: FlinkAnswer) -> str:
    cluster = flink.summary
    return f"{cluster.slots_available} of {cluster.slots_total} slots free on {cluster.taskmanagers} TaskManagers"


def job_looks(contract: Contract, answer: Answer[FlinkAnswer], seen_last: Any = None) -> list[JobLook]:
    """The jobs of the contract, judged, then the other live ones: batch work comes and goes.

    `seen_last`: what the last supervising run saw, in its JSON.
    """
    flink, now = answer.value, answer.at
    if flink is None:
        return []
    judged = judge_all(flink, contract, JobsMemory.from_json(seen_last), now)
    names = {pipeline_name(contract, job): name for name, job in contract.jobs.items()}
    found = []
    for name, health in judged.items():
        own = pipeline_name(contract, contract.jobs[name])
        live = next((item for item in flink.entries if item.name == own and not item.final), None)
        found.append(_job(own, live, flink, now, health.condition.value, health.reason))
    others = [item for item in flink.entries if item.name not in names and not item.final]
    return found + [_job(item.name, item, flink, now) for item in sorted(others, key=lambda item: item.name)]


def _job(
    name: str,
    live: JobSummary | None,
    flink: FlinkAnswer,
    now: float,
    condition: str | None = None,
    reason: str | None = None,
) -> JobLook:
    if live is None:
        return JobLook(name, condition, reason, None, None, None, None)
    detail = flink.details[live.jid]
    latest = detail[0].latest if isinstance(detail, tuple) else None
    age = round(now - latest.completed_ms / 1000, 1) if latest else None
    tasks = f"{live.tasks_running}/{live.tasks_total}"
    return JobLook(name, condition, reason, live.state, live.jid, tasks, age)


def ingester_look(seen: ObservedIngester | None, seen_last: Any = None) -> IngesterLook | None:
    """The ingester, judged; None when its supervisor did not answer. `seen_last`: as for the jobs."""
    if seen is None:
        return None
    health = ingester_health.judge(seen, IngesterMemory.from_json(seen_last).counters)
    return IngesterLook(health.condition.value, health.reason)


def stream_looks(
    contract: Contract, kafka: ClusterOffsets | None, lake: Answer[dict[str, StreamFreshness]]
) -> list[StreamLook]:
    """One line a stream of the contract."""
    topics = kafka.topics if kafka else {}
    fresh = lake.value or {}
    return [
        _stream(stream, topics.get(stream.topic), fresh.get(name), lake.at) for name, stream in contract.streams.items()
    ]


def _stream(stream: Stream, topic: TopicOffsets | None, fresh: StreamFreshness | None, now: float) -> StreamLook:
    newest = fresh.newest_event_ms if fresh else None
    written = fresh.written_at if fresh else None
    return StreamLook(
        stream=stream.name,
        last_event_age_s=round(now - newest / 1000, 1) if newest else None,
        last_written_age_s=round(now - written.timestamp(), 1) if written else None,
        kafka_end_offsets={number: offsets.end for number, offsets in topic.partitions.items()} if topic else {},
        lag=lag(topic) if topic else None,
        lake_rows_of_the_running_hour=fresh.hour_rows if fresh else None,
    )


def lag(topic: TopicOffsets) -> int:
    """Retained records that the job has not committed; before its first commit, all of them."""
    return sum(
        offsets.end - max(offsets.first, offsets.committed if offsets.committed is not None else offsets.first)
        for offsets in topic.partitions.values()
    )


def gap_looks(remembered: PostgresAnswer) -> list[GapsLook]:
    """Open gaps of the audits by topic and kind (offsets), and of the ingester by stream and cause (gaps)."""
    found = []
    for topic, gaps in remembered.gaps.items():
        offsets = Counter[str]()
        for gap in gaps:
            offsets[str(gap.kind)] += gap.end - gap.start
        found += [GapsLook(topic, kind, count) for kind, count in sorted(offsets.items())]
    for stream, missed in remembered.ingester_gaps.items():
        causes = Counter(gap.cause for gap in missed)
        still_open = Counter(gap.cause for gap in missed if gap.first_seen_ms is None)
        found += [GapsLook(stream, cause, count, still_open[cause]) for cause, count in sorted(causes.items())]
    return found
