"""The look judges by supervision's own rules; what it cannot know it says."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from upbit_lake.contract.model import CONTRACT_FILE, Contract
from upbit_lake.contract.reader import load_contract
from upbit_lake.engines.flink.jobmanager import Checkpoint, CheckpointStatus, Cluster, FlinkRestError, JobSummary
from upbit_lake.engines.ingester.control import ProcessState
from upbit_lake.engines.ingester.counters import Counters
from upbit_lake.engines.ingester.probe import ObservedIngester
from upbit_lake.engines.kafka.offsets import ClusterOffsets, PartitionOffsets, TopicOffsets
from upbit_lake.hours.hour import Hour
from upbit_lake.overview.document import document, print_text
from upbit_lake.overview.gather import Answer, Answers, FlinkAnswer, PostgresAnswer, StreamFreshness
from upbit_lake.overview.look import Look, job_looks, lag, look
from upbit_lake.state.audits import Gap, GapKind
from upbit_lake.state.ingester_gaps import IngesterGap
from upbit_lake.state.leases import INGESTER, STREAMING_JOBS
from upbit_lake.state.verdicts import Status
from upbit_lake.supervise import ingester_health
from upbit_lake.supervise.ingester_health import IngesterCondition
from upbit_lake.supervise.job_health import JobCondition
from upbit_lake.supervise.jobs import judge_all
from upbit_lake.supervise.memory import JobMemory, JobsMemory

NOW = 1_800_000_000.0
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STREAMS = load_contract().streams
JOBS = tuple(load_contract().jobs)
CLUSTER = Cluster(2, 4, 1)


def live(name: str, **more: Any) -> JobSummary:
    return replace(JobSummary(f"id-{name}", f"upbit {name}", "RUNNING", 0, 6, 6), **more)


def completed(age_s: float) -> CheckpointStatus:
    return CheckpointStatus(3, 0, Checkpoint("s3://x", int((NOW - age_s) * 1000)), None)


def flink(*jobs: JobSummary, age_s: float = 5.0, restarts: int = 0) -> FlinkAnswer:
    found = jobs or tuple(live(name) for name in JOBS)
    return FlinkAnswer(CLUSTER, found, {job.jid: (completed(age_s), restarts) for job in found if not job.final})


def remembered(**more: Any) -> PostgresAnswer:
    hour = Hour("2026-11-23", "11")
    gap = Gap("upbit-trade", "t", 0, 10, 14, GapKind.LOSS, hour, hour)
    verdict = {"level": "coverage", "table_name": "trade", **vars(hour), "status": "red", "reason": "x", "at": NOON}
    values: dict[str, Any] = {
        "schema_version": 5,
        "alarms": [{"subject": "job trade", "text": "away", "opened_at": NOON}],
        "leases": [{"name": "ingester", "owner": "run", "expires_at": NOON}],
        "gaps": {"upbit-trade": [gap, replace(gap, start=20, end=21)]},
        "ingester_gaps": {"ticker": [IngesterGap("", 1, None, "reconnect"), IngesterGap("", 1, 2, "reconnect")]},
        "verdict_counts": [{"level": "coverage", "status": "red", "hours": 1}],
        "newest_verdicts": [verdict],
        "supervision": {},
    }
    return PostgresAnswer(**{**values, **more})


def all_well(**more: Any) -> Answers:
    offsets = {0: PartitionOffsets(0, 50, 40, 1), 1: PartitionOffsets(7, 9, None, 1), 2: PartitionOffsets(9, 9, 3, 1)}
    topics = {stream.topic: TopicOffsets(stream.topic, "id", offsets) for stream in STREAMS.values()}
    fresh = StreamFreshness(int((NOW - 3) * 1000), datetime.fromtimestamp(NOW - 9, UTC), 77)
    seen = ObservedIngester(ProcessState(True, "RUNNING", 100.0), True, counters=Counters(received={"trade": 9.0}))
    answers = {
        "kafka": Answer(ClusterOffsets(3, topics), at=NOW),
        "flink": Answer(flink(), at=NOW),
        "lake": Answer(dict.fromkeys(STREAMS, fresh), at=NOW),
        "postgres": Answer(remembered(), at=NOW),
        "ingester": Answer(seen, at=NOW),
    }
    return Answers(**{**answers, **more}, at=NOW + 1)


def away(words: str = "no answer in time") -> Answer[Any]:
    return Answer(None, words)


NOTHING = Answers(away(), away(), away(), away(), away(), NOW)


@pytest.fixture
def contract() -> Contract:
    return load_contract()


def test_all_well(contract: Contract) -> None:
    seen = look(contract, all_well())
    assert seen.healthy
    assert [(job.job, job.condition) for job in seen.jobs] == [(f"upbit {name}", "healthy") for name in JOBS]
    assert seen.jobs[0].tasks_running == "6/6"
    assert seen.jobs[0].last_checkpoint_age_s == 5.0
    stream = next(stream for stream in seen.streams if stream.stream == "trade")
    assert (stream.last_event_age_s, stream.last_written_age_s) == (3.0, 9.0)
    assert (stream.kafka_end_offsets, stream.lag, stream.lake_rows_of_the_running_hour) == ({0: 50, 1: 9, 2: 9}, 12, 77)
    assert [(gap.of, gap.kind, gap.count, gap.open) for gap in seen.gaps] == [
        ("upbit-trade", "loss", 5, None),
        ("ticker", "reconnect", 2, 1),
    ]


@pytest.mark.parametrize("engine", ["kafka", "flink", "lake", "postgres", "ingester"])
def test_an_engine_that_is_away_is_named_and_the_others_are_shown(contract: Contract, engine: str) -> None:
    seen = look(contract, all_well(**{engine: away("refused")}))
    assert not seen.healthy
    assert {one.engine: one.says for one in seen.engines if not one.answers} == {engine: "refused"}
    assert seen.streams
    shown = {"flink": bool(seen.jobs), "postgres": bool(seen.verdicts), "ingester": seen.ingester is not None}
    assert [name for name, there in shown.items() if not there] == ([engine] if engine in shown else [])


@pytest.mark.parametrize(
    "seen",
    [
        flink(age_s=400),
        flink(live("ticker"), live("trade", state="RESTARTING", tasks_running=0), live("orderbook"), age_s=400),
        flink(live("ticker"), live("trade"), live("trade", jid="second"), live("orderbook")),
        flink(live("ticker"), live("trade", state="FAILED"), live("orderbook")),
        flink(live("ticker")),
        FlinkAnswer(CLUSTER, [live("ticker")], {"id-ticker": FlinkRestError("job not found")}),
    ],
)
def test_a_job_is_what_supervision_says_of_it(contract: Contract, seen: FlinkAnswer) -> None:
    """The same answers of the JobManager, the same memory: the same word and the same sentence."""
    memory = JobsMemory(answering_since=NOW - 300, jobs={name: JobMemory(jid=f"id-{name}") for name in JOBS})
    judged = judge_all(seen, contract, JobsMemory.from_json(memory.to_json()), NOW)
    shown = job_looks(contract, Answer(seen, at=NOW), memory.to_json())
    assert [(job.condition, job.reason) for job in shown if job.condition] == [
        (item.condition, item.reason) for item in judged.values()
    ]
    assert not look(contract, all_well(flink=Answer(seen, at=NOW))).healthy


def test_running_with_stalled_checkpoints_is_unhealthy(contract: Contract) -> None:
    (trade,) = [
        job for job in look(contract, all_well(flink=Answer(flink(age_s=121), at=NOW))).jobs if "trade" in job.job
    ]
    assert (trade.state, trade.condition) == ("RUNNING", "unhealthy")
    assert trade.reason == "RUNNING, 6 of 6 tasks running, last checkpoint 121 s ago, bound 120 s"


def test_the_restarts_that_supervision_saw_count(contract: Contract) -> None:
    """One look alone cannot know how often a job restarted within a window."""
    memory = JobsMemory(NOW - 900, jobs={"trade": JobMemory(jid="id-trade", seen=[(NOW - 60, 0)])})
    answers = all_well(flink=Answer(flink(restarts=11), at=NOW))
    assert look(contract, answers).healthy
    known = remembered(supervision={STREAMING_JOBS: memory.to_json()})
    seen = look(contract, replace(answers, postgres=Answer(known, at=NOW)))
    assert {job.job: job.condition for job in seen.jobs}["upbit trade"] == "unhealthy"


def test_slow_engines_do_not_age_what_a_quick_one_said(contract: Contract) -> None:
    answers = replace(all_well(flink=Answer(flink(age_s=119), at=NOW), lake=away()), at=NOW + 8)
    assert {job.condition for job in look(contract, answers).jobs} == {"healthy"}


def test_other_jobs_are_shown_and_not_judged(contract: Contract) -> None:
    batch = JobSummary("b", "exact candles", "CREATED", 0, 0, 4)
    seen = look(contract, all_well(flink=Answer(flink(*(live(name) for name in JOBS), batch), at=NOW)))
    assert seen.healthy
    assert [job.job for job in seen.jobs if job.condition is None] == ["exact candles"]


@pytest.mark.parametrize(
    ("seen", "condition", "healthy"),
    [
        (ObservedIngester(ProcessState(False, "FATAL"), None), "restart", False),
        (ObservedIngester(ProcessState(True, "RUNNING", 100.0), False, "loop blocked"), "restart", False),
        (ObservedIngester(ProcessState(True, "RUNNING", 1.0), None), "waiting", False),
        (
            ObservedIngester(ProcessState(True, "RUNNING"), True, counters=Counters(silent_s={"trade": 500})),
            "alarm",
            True,
        ),
    ],
)
def test_the_ingester_is_what_supervision_says_of_it(
    contract: Contract, seen: ObservedIngester, condition: str, healthy: bool
) -> None:
    found = look(contract, all_well(ingester=Answer(seen, at=NOW)))
    assert found.ingester is not None
    assert found.ingester.condition == condition
    assert found.ingester.reason == ingester_health.judge(seen, None).reason
    assert found.healthy is healthy


def test_frames_that_are_received_but_not_spooled_show_by_the_last_supervising_look(contract: Contract) -> None:
    seen = ObservedIngester(ProcessState(True, "RUNNING"), True, counters=Counters({"trade": 9.0}, {"trade": 5.0}))
    before = {"restarts": [], "counters": {"received": {"trade": 5.0}, "handled": {"trade": 5.0}}}
    answers = all_well(ingester=Answer(seen, at=NOW))
    assert look(contract, answers).healthy
    known = remembered(supervision={INGESTER: before})
    assert not look(contract, replace(answers, postgres=Answer(known, at=NOW))).healthy


def test_before_the_first_commit_every_retained_record_is_lag() -> None:
    assert lag(TopicOffsets("t", "id", {0: PartitionOffsets(5, 9, None, 1)})) == 4
    assert lag(TopicOffsets("t", "id", {0: PartitionOffsets(5, 9, 2, 1)})) == 4


SCHEMA: dict[str, Any] = json.loads((CONTRACT_FILE.parent / "docs" / "status.schema.json").read_text())


@pytest.mark.parametrize("answers", [all_well(), NOTHING])
def test_the_document_is_as_its_schema_says(contract: Contract, answers: Answers) -> None:
    found = document(look(contract, answers))
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert {"processes"} == set(SCHEMA["properties"]) - set(found)


def test_the_schema_is_strict() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate({**document(look(load_contract(), all_well())), "more": 1})


def test_the_schema_knows_every_condition_and_status() -> None:
    properties = SCHEMA["properties"]
    conditions = properties["jobs"]["items"]["properties"]["condition"]["enum"]
    assert [one for one in conditions if one] == [*JobCondition]
    assert properties["ingester"]["properties"]["condition"]["enum"] == [
        *sorted(IngesterCondition, key=["healthy", "waiting", "alarm", "restart"].index)
    ]
    assert SCHEMA["$defs"]["status"]["enum"] == [*Status]


def text_of(seen: Look) -> str:
    out = io.StringIO()
    print_text(seen, out)
    return out.getvalue()


def test_the_text_begins_with_what_is_wrong(contract: Contract) -> None:
    assert text_of(look(contract, all_well())).startswith("healthy at 2027-01-15T08:00:01+00:00\n")
    seen = look(contract, all_well(kafka=away(), flink=Answer(flink(age_s=121), at=NOW)))
    wrong = ", ".join(f"job upbit {name} is unhealthy" for name in JOBS)
    assert text_of(seen).splitlines()[0] == (
        f"not healthy at 2027-01-15T08:00:01+00:00: kafka does not answer, {wrong}"
    )
