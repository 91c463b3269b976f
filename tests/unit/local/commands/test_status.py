"""When a bootstrap has its rows, and what counts as healthy."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from rich.console import Console

from local.commands import bootstrap, status
from local.commands.airflow_api import AirflowApi
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


def test_a_stream_that_is_not_kept_owes_no_rows(setting: Setting, lake: dict[str, int]) -> None:
    bootstrap.wait_for_rows(replace(setting, ingester={"UPBIT_STREAMS": "ticker, orderbook"}))


UP, DOWN = ({"name": "s3", "healthy": healthy} for healthy in (True, False))


@pytest.mark.parametrize(
    ("looked", "running", "healthy"),
    [(True, [UP, UP], True), (True, [UP, DOWN], False), (False, [UP], False), (True, [], True)],
)
def test_all_is_healthy_when_the_look_and_every_process_are(looked: bool, running: list[Any], healthy: bool) -> None:
    found = status.with_processes({"healthy": looked, "jobs": [1]}, running)
    assert found == {"healthy": healthy, "jobs": [1], "processes": running}


def test_a_control_plane_that_cannot_look_is_named_and_nothing_is_healthy(setting: Setting) -> None:
    found = status.look(replace(setting, places=replace(setting.places, parts=Path("/nowhere"))))
    assert not found["healthy"]
    (engine,) = found["engines"]
    assert (engine["engine"], engine["answers"]) == ("control plane", False)
    assert engine["says"].startswith("No such file or directory: /nowhere/")


def test_each_section_is_a_table_and_the_processes_come_first() -> None:
    found = {"version": 1, "engines": [{"engine": "kafka"}], "ingester": {"condition": "healthy"}, "processes": [UP]}
    assert status.sections(found) == {
        "processes": [UP],
        "engines": [{"engine": "kafka"}],
        "ingester": [{"condition": "healthy"}],
    }
    assert next(iter(status.sections(found))) == "processes"


def test_an_airflow_that_does_not_answer_is_one_line(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise requests.ConnectionError("Connection refused")

    monkeypatch.setattr(requests.Session, "request", refuse)
    with pytest.raises(PipelineError, match=r"Airflow at http.* does not answer \(ConnectionError\): see"):
        AirflowApi.of(setting)


def test_a_watch_looks_again_until_it_is_interrupted(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = iter([False, True])
    pauses = iter([5.0])

    def sleep(_: float) -> None:
        for _ in pauses:
            return
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "state", lambda _: {"healthy": next(shown), "processes": [UP]})
    monkeypatch.setattr(time, "sleep", sleep)
    out = io.StringIO()
    assert status.show(setting, Console(file=out), as_json=False, watch=True) == 0
    assert [line for line in out.getvalue().splitlines() if line.endswith("healthy")] == ["not healthy", "healthy"]
