"""When a bootstrap has its rows, and what counts as healthy."""

from __future__ import annotations

from dataclasses import replace

import pytest
import requests

from local.commands import bootstrap
from local.commands.airflow_api import AirflowApi
from local.commands.status import is_healthy
from local.contract import read_jobs
from local.errors import PipelineError
from local.home.setting import Setting

ALL = {"ticker": 1, "trade": 1, "orderbook": 1, "candle_1m": 1}


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Rows by table; only the trades' topic has records, and the time is up."""
    found: dict[str, int] = {}
    monkeypatch.setattr(bootstrap, "rows_by_table", lambda *_: found)
    monkeypatch.setattr(bootstrap, "exchange_status", lambda *_: {})
    monkeypatch.setattr(bootstrap, "end_offsets", lambda _, topic: {0: 0, 1: int(topic == "upbit-trade")})
    monkeypatch.setattr(bootstrap, "ROWS_PATIENCE_S", -1)
    return found


def test_a_stream_without_data_owes_no_rows(setting: Setting, lake: dict[str, int]) -> None:
    lake.update(trade=5, candle_1m=1)
    bootstrap.wait_for_rows(setting)


@pytest.mark.parametrize("table", ["trade", "candle_1m"])
def test_a_stream_with_data_owes_rows(setting: Setting, lake: dict[str, int], table: str) -> None:
    lake.update({**ALL, table: 0})
    with pytest.raises(PipelineError, match=f"no row in {table} after"):
        bootstrap.wait_for_rows(setting)


def test_a_stream_that_nobody_asked_for_owes_no_rows(setting: Setting, lake: dict[str, int]) -> None:
    bootstrap.wait_for_rows(replace(setting, ingester={"UPBIT_STREAMS": "ticker, orderbook"}))


def test_health_is_each_job_of_the_contract(setting: Setting) -> None:
    jobs = read_jobs(setting.contract)
    assert jobs == ["upbit orderbook", "upbit ticker", "upbit trade"]
    running = [{"job": name, "state": "RUNNING"} for name in jobs]
    batch = {"job": "exact candles", "state": "CREATED"}
    up = [{"healthy": True}]
    assert is_healthy({"processes": up, "jobs": [*running, batch]}, jobs)
    assert not is_healthy({"processes": up, "jobs": []}, jobs)
    assert not is_healthy({"processes": up, "jobs": running[1:]}, jobs)
    assert not is_healthy({"processes": [{"healthy": False}], "jobs": running}, jobs)


def test_an_airflow_that_does_not_answer_is_one_line(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise requests.ConnectionError("Connection refused")

    monkeypatch.setattr(requests.Session, "request", refuse)
    with pytest.raises(PipelineError, match=r"Airflow at http.* does not answer \(ConnectionError\): see"):
        AirflowApi.of(setting)
