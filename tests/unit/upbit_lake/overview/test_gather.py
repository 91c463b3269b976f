"""Engines are asked at the same time, each for a bounded time; what does not answer is named and delays no other."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest

from tests.twins.clock import HandClock
from upbit_lake.contract.model import Contract
from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import Settings
from upbit_lake.engines.flink.jobmanager import (
    CheckpointStatus,
    Cluster,
    FlinkRestError,
    FlinkUnreachableError,
    JobSummary,
)
from upbit_lake.engines.lake.reader import PLUGINS
from upbit_lake.overview.gather import (
    Answer,
    Answers,
    FlinkAnswer,
    StreamFreshness,
    ask_flink,
    ask_lake,
    begin,
    end,
    gather,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_answer_carries_its_moment() -> None:
    assert end(begin(lambda: 5, HandClock(100.0)), time.monotonic() + 5) == Answer(5, "", 100.0, 0.0)


def test_an_error_is_its_words_in_one_line() -> None:
    def refuse() -> int:
        raise ConnectionError("refused\n  by the engine")

    answer = end(begin(refuse), time.monotonic() + 5)
    assert (answer.value, answer.reason) == (None, "refused by the engine")


def test_who_hangs_is_given_up_at_the_deadline() -> None:
    hangs, began = Event(), time.monotonic()
    waited = [begin(hangs.wait) for _ in range(3)]
    answers = [end(future, began + 0.2) for future in waited]
    assert time.monotonic() - began < 2
    assert [answer.reason for answer in answers] == ["no answer in time"] * 3
    hangs.set()


def test_who_hangs_does_not_keep_the_process_alive() -> None:
    code = (
        "import threading, time; from upbit_lake.overview.gather import begin, end\n"
        "print(end(begin(threading.Event().wait), time.monotonic() + 0.1).reason)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(PLUGINS)}, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "no answer in time\n"), done.stderr


def settings_to_nowhere(**more: str) -> Settings:
    """Every engine on a port on which nothing listens."""
    address = f"127.0.0.1:{closed_port()}"
    return Settings.from_environment(
        {
            "KAFKA_BOOTSTRAP_SERVERS": address,
            "S3_ENDPOINT": f"http://{address}",
            "S3_ACCESS_KEY": "a",
            "S3_SECRET_KEY": "b",
            "FLINK_REST_URL": f"http://{address}",
            "CONTROL_INGESTER_SUPERVISOR_SOCKET": "/nowhere/supervisor.sock",
            **more,
        }
    )


@pytest.fixture(scope="module")
def away() -> Answers:
    began = time.monotonic()
    answers = gather(load_contract(), settings_to_nowhere(), f"postgresql://p:p@127.0.0.1:{closed_port()}/pipeline")
    assert time.monotonic() - began < 10
    return answers


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ("kafka", r"^Kafka at 127\.0\.0\.1:\d+: "),
        ("flink", r"^JobManager http://127\.0\.0\.1:\d+: no answer"),
        ("lake", "."),
        ("postgres", "onnection"),
        ("ingester", "^supervisord at /nowhere/supervisor.sock does not answer"),
    ],
)
def test_what_is_away_says_why_in_one_line(away: Answers, engine: str, says: str) -> None:
    answer: Answer[Any] = getattr(away, engine)
    assert answer.value is None
    assert re.search(says, answer.reason), answer.reason
    assert "\n" not in answer.reason


def test_what_flink_answered_is_said_again(contract: Contract) -> None:
    answer = FlinkAnswer(Cluster(2, 4, 1), [], {"a": FlinkRestError("job a not found")})
    assert answer.jobs() == []
    for ask in (answer.checkpoints, answer.restarts):
        with pytest.raises(FlinkRestError, match="job a not found"):
            ask("a")
    assert not isinstance(answer.details["a"], FlinkUnreachableError)


class Flink:
    """A JobManager with one job, of which it says nothing but an error."""

    def __init__(self, error: FlinkRestError) -> None:
        self._error = error

    def cluster(self) -> Cluster:
        return Cluster(2, 4, 1)

    def jobs(self) -> list[JobSummary]:
        return [JobSummary("a", "upbit trade", "RUNNING", 0, 6, 6)]

    def checkpoints(self, _: str) -> CheckpointStatus:
        raise self._error

    def restarts(self, _: str) -> int:
        raise self._error


def test_a_job_that_is_just_gone_leaves_its_error_a_jobmanager_that_is_gone_leaves_nothing() -> None:
    error = FlinkRestError("job a not found")
    assert ask_flink(Flink(error)).details == {"a": error}
    with pytest.raises(FlinkUnreachableError):
        ask_flink(Flink(FlinkUnreachableError("away")))


def test_the_lakes_freshness_is_read_from_the_statistics_of_its_files(lake: Any, contract: Contract) -> None:
    eleven, noon = 1_795_431_600_000, 1_795_435_200_000
    lake.trades([("2026-11-23", "11", "KRW-BTC", 1, eleven, 1, 1, 0, 0)])
    lake.trades([("2026-11-23", "12", code, 2, noon + 7, 1, 1, 0, 0) for code in ("KRW-BTC", "KRW-ETH")])
    lake.trades([("2026-11-23", "12", "KRW-BTC", 3, noon + 5, 1, 1, 0, 0)])
    fresh = ask_lake(contract, lake.reader, NOON, 60)
    assert set(fresh) == set(contract.streams)
    assert (fresh["trade"].newest_event_ms, fresh["trade"].hour_rows) == (noon + 7, 3)
    [row] = lake.reader.rows("SELECT max(trade_timestamp) AS t FROM trade")
    assert fresh["trade"].newest_event_ms == row["t"]
    written = fresh["trade"].written_at
    assert written is not None
    assert abs(time.time() - written.timestamp()) < 60
    assert fresh["ticker"] == StreamFreshness(None, None, 0)
