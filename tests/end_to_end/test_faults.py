"""What is killed while it streams heals with no human, and no trade is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from local.home.setting import Setting
from local.parts.exchange import exchange_status
from local.parts.http import get_json
from local.processes.supervisor import Supervisor
from tests.end_to_end.conftest import (
    HEAL_S,
    MARKET,
    assert_missing_only_in_gaps,
    assert_no_trade_is_missing,
    wait_until_fresh,
)
from tests.harness import recorded_gaps, truth
from tests.harness.home import Home
from tests.harness.waiting import until

pytestmark = [pytest.mark.engines, pytest.mark.nightly]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("faults"), port_offset=3000, settings=MARKET)
    with home.running("--source", "exchange"):
        yield home


FAULTS = ["ingester", "taskmanager-1", "kafka-2", "jobmanager"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_killed_part_heals(pipeline: Home, name: str) -> None:
    setting = pipeline.setting
    pipeline.kill_and_wait(name)
    wait_until_fresh(setting)
    assert_no_trade_is_missing(setting)


def test_a_cancelled_job_comes_back(pipeline: Home) -> None:
    setting = pipeline.setting
    flink = setting.ports.url("flink_rest")
    jobs = (get_json(f"{flink}/jobs/overview") or {})["jobs"]
    victim = next(job for job in jobs if job["state"] == "RUNNING" and job["name"].endswith("trade"))
    requests.patch(f"{flink}/jobs/{victim['jid']}?mode=cancel", timeout=10).raise_for_status()
    wait_until_fresh(setting)
    assert_no_trade_is_missing(setting)


def test_books_and_tickers_are_missing_only_inside_recorded_gaps(pipeline: Home) -> None:
    setting = pipeline.setting
    for stream in ("ticker", "orderbook"):
        assert recorded_gaps.of_stream(setting.places.data / "spool", stream), (
            "the ingester was killed and recorded no gap"
        )
        assert_missing_only_in_gaps(setting, stream)


def test_an_ingester_that_its_supervisor_gave_up_is_brought_back(pipeline: Home) -> None:
    setting = pipeline.setting
    script = setting.places.conf / "run" / "ingester.sh"
    with _Broken(script):
        pipeline.kill("ingester")
        until("the supervisor gives up", lambda: _state(setting, "ingester") == "FATAL", 180)
    until("supervise_ingester brings it back", lambda: _state(setting, "ingester") == "RUNNING", HEAL_S)
    wait_until_fresh(setting)
    assert_no_trade_is_missing(setting)


def test_three_minutes_without_brokers_do_not_restart_the_ingester(pipeline: Home) -> None:
    setting = pipeline.setting
    supervisor = Supervisor(setting.places)
    ingester = supervisor.processes()["ingester"]["pid"]
    stopped_at = int(exchange_status(setting)["clock_ms"])
    for node in (1, 2, 3):
        supervisor.stop(f"kafka-{node}")
    until(
        "three minutes have passed",
        lambda: int(exchange_status(setting)["clock_ms"]) > stopped_at + 180_000,
        240,
        every_s=5,
    )
    assert supervisor.processes()["ingester"]["pid"] == ingester
    assert psutil.pid_exists(ingester)
    for node in (1, 2, 3):
        supervisor.start_part(f"kafka-{node}")
    wait_until_fresh(setting)
    assert supervisor.processes()["ingester"]["pid"] == ingester
    assert_no_trade_is_missing(setting)
    ledger = truth.published(setting.places.data / "ledger")
    for stream in ("ticker", "orderbook"):
        during = {
            key for keys in ledger.keys[stream].values() for key in keys if stopped_at < key[1] < stopped_at + 180_000
        }
        found = set(truth.lake_keys(truth.lake_of(setting), stream))
        assert during, "nothing was published during the outage"
        assert during <= found, f"{stream}: {len(during - found)} of {len(during)} were lost in the outage"


def _state(setting: Setting, name: str) -> str:
    return str(Supervisor(setting.places).processes()[name]["statename"])


class _Broken:
    """The script ends at once while inside; restored afterwards."""

    def __init__(self, script: Path) -> None:
        self._script, self._text = script, script.read_text()

    def __enter__(self) -> None:
        self._script.write_text("#!/bin/bash\nexit 1\n")

    def __exit__(self, *_: object) -> None:
        self._script.write_text(self._text)
