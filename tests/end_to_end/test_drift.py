"""What was changed behind the contract's back is said and repaired by the next `bootstrap_pipeline`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.commands.airflow_api import AirflowApi
from local.parts.kafka import end_offsets
from tests.end_to_end.conftest import MARKET, bootstrap, wait_until_fresh
from tests.harness.home import Home
from tests.harness.waiting import until
from tests.integration.control_plane import engines_of
from upbit_lake.contract.reader import load_contract
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.session import lake_session
from upbit_lake.engines.kafka.admin import topic_ids
from upbit_lake.jobs.facts import live_jobs
from upbit_lake.jobs.stop import cancel_all

pytestmark = [pytest.mark.engines, pytest.mark.nightly]

SUPERVISION = "supervise_streaming_jobs"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A running pipeline whose supervision is off: what drifted waits for the bootstrap."""
    home = Home(tmp_path_factory.mktemp("drift"), port_offset=3000, settings=MARKET)
    with home.running("--source", "exchange"):
        api = AirflowApi.of(home.setting)
        api.ask("PATCH", f"/dags/{SUPERVISION}", {"is_paused": True})
        running = f"/dags/{SUPERVISION}/dagRuns?state=running"
        until("no look is under way", lambda: not api.ask("GET", running)["dag_runs"], 120)
        yield home


@pytest.fixture
def engines(pipeline: Home) -> Iterator[Engines]:
    made = engines_of(pipeline, load_contract())
    yield made
    made.db.close()


def test_settings_and_jobs(pipeline: Home, engines: Engines) -> None:
    contract, settings = engines.contract, engines.settings
    engines.kafka.set_topic_config("upbit-ticker", {"retention.ms": "3600000"})
    with lake_session(engines.gateway, contract, settings, "drift") as session:
        session.run("ALTER TABLE lake.upbit.orderbook SET ('snapshot.time-retained' = '1 h')")
    [cancelled] = live_jobs(engines, contract.jobs["trade"])
    cancel_all(engines, [cancelled])
    until("the job is gone", lambda: not live_jobs(engines, contract.jobs["trade"]), 60)

    said = bootstrap(AirflowApi.of(pipeline.setting))
    wanted = contract.topics["upbit-ticker"].config["retention.ms"]
    assert f"upbit-ticker: repaired: retention.ms was 3600000, the contract says {wanted}" in said["topics"]
    hours = contract.hours.snapshot_retention_h
    assert f"orderbook: repaired: snapshot.time-retained was 1 h, the file says {hours} h" in said["lake_tables"]
    [line] = [line for line in said["streaming_jobs"] if line.startswith("trade: repaired: ")]
    assert line.startswith(f"trade: repaired: no job runs; the last was {cancelled.jid}; job ")
    assert "started from checkpoint s3://" in line
    assert {"ticker: unchanged", "orderbook: unchanged"} <= set(said["streaming_jobs"])
    wait_until_fresh(pipeline.setting)


def test_a_deleted_topic(pipeline: Home, engines: Engines) -> None:
    topic, old = "upbit-orderbook", topic_ids(engines.kafka, ["upbit-orderbook"])
    # Books that reach the old topic and no job: they are certainly lost.
    job = engines.contract.jobs["orderbook"]
    cancel_all(engines, live_jobs(engines, job))
    until("the job is gone", lambda: not live_jobs(engines, job), 60)
    before = sum(end_offsets(pipeline.setting, topic).values())
    until("books without a reader", lambda: sum(end_offsets(pipeline.setting, topic).values()) > before + 500, 120)
    pipeline.kafka_admin.delete_topics([topic])[topic].result()
    until("the topic is gone", lambda: not topic_ids(engines.kafka, [topic]), 60)
    said = bootstrap(AirflowApi.of(pipeline.setting))
    assert f"{topic}: created" in said["topics"]
    assert topic_ids(engines.kafka, [topic]) != old
    [line] = [line for line in said["streaming_jobs"] if line.startswith("orderbook: repaired: ")]
    assert line.startswith(f"orderbook: repaired: topic {topic} was recreated; job ")
    assert "the earliest retained record, without state" in line
    assert "orderbook: these hours cannot be refilled from Kafka: 20" in line
    wait_until_fresh(pipeline.setting)
