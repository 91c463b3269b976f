"""The promise of the whole: what the exchange published is in the lake, exactly once, exact to the digit."""

from __future__ import annotations

from datetime import datetime

import pytest

from local.airflow_api import AirflowApi
from local.setting import Setting
from local.status import exchange_status
from tests import truth
from tests.end_to_end.conftest import start_with_two_closed_hours
from tests.home import Home
from tests.waiting import until

pytestmark = pytest.mark.engines

CATCH_UP_S = 600
DAG_S = 600


def run_dag(api: AirflowApi, dag: str, params: dict[str, object] | None = None) -> str:
    """Triggers a DAG, waits for its end and returns its state."""
    run_id = api.trigger(dag, params)
    return api.follow(dag, run_id, DAG_S, lambda task, state: print(f"  {dag}: {task} {state}"))


def clock_ms(setting: Setting) -> int:
    """The exchange's clock."""
    return int(exchange_status(setting)["clock_ms"])


@pytest.fixture(scope="module")
def closed_hours(pipeline: Home) -> list[truth.Hour]:
    """Two hours that the exchange's clock has passed, closed and verified by Airflow's own DAGs."""
    setting = pipeline.setting
    began = datetime.fromisoformat(setting.source.start)
    assert began <= start_with_two_closed_hours()
    first_ms = int(began.timestamp() * 1000)
    end_ms = first_ms + 80 * 60_000
    grace_ms = 3 * 60_000
    until("exchange clock past both hours", lambda: clock_ms(setting) > end_ms + grace_ms, CATCH_UP_S)
    hours = [truth.hour_of(first_ms), truth.hour_of(end_ms - 1)]
    api = AirflowApi(setting)
    assert run_dag(api, "compact_paimon_partitions") == "success"
    return hours


def test_every_table_has_rows(pipeline: Home) -> None:
    done = pipeline.run("query", "SELECT count(*) AS n FROM candle_1m", "--format", "csv")
    header, number = done.stdout.split()
    assert header == "n"
    assert int(number) > 0


def test_trades_and_candles_equal_the_ledger(pipeline: Home, closed_hours: list[truth.Hour]) -> None:
    setting = pipeline.setting
    ledger = truth.published(setting.places.data / "ledger")
    for hour in closed_hours:
        expected = {(t.code, t.sequential_id): t for t in ledger.trades[hour]}
        found = truth.lake_trades(setting, hour)
        assert expected, f"the exchange published no trade in {hour}: the test shows nothing"
        assert len(found) == len({(t.code, t.sequential_id) for t in found}), f"a key stands twice in {hour}"
        assert {(t.code, t.sequential_id): t for t in found} == expected
        assert sum(t.volume for t in found) == sum(t.volume for t in expected.values())
        assert sum(t.price * t.volume for t in found) == sum(t.price * t.volume for t in expected.values())
        candles = truth.lake_candles(setting, hour)
        assert {key: candle for key, (candle, _) in candles.items()} == truth.candles(expected.values())
        assert {revision for _, revision in candles.values()} == {1}, f"{hour} was not recomputed exactly"


@pytest.mark.parametrize("stream", ["ticker", "orderbook"])
def test_tickers_and_books_equal_the_ledger(pipeline: Home, closed_hours: list[truth.Hour], stream: str) -> None:
    setting = pipeline.setting
    ledger = truth.published(setting.places.data / "ledger")
    for hour in closed_hours:
        found = truth.lake_keys(setting, stream, hour)
        assert len(found) == len(set(found)), f"a key stands twice in {hour}"
        assert set(found) - ledger.initial[stream] == ledger.keys[stream][hour] - ledger.initial[stream]


def test_nothing_was_quarantined(pipeline: Home, closed_hours: list[truth.Hour]) -> None:
    done = pipeline.run("query", "SELECT count(*) AS n FROM dead_letter", "--format", "csv")
    assert done.stdout.split() == ["n", "0"]


def test_verdicts_are_not_red(pipeline: Home, closed_hours: list[truth.Hour]) -> None:
    assert run_dag(AirflowApi(pipeline.setting), "verify_paimon_partitions") == "success"
    done = pipeline.run("status", "--json", check=False)
    assert '"red"' not in done.stdout
    assert '"green"' in done.stdout


def test_a_second_bootstrap_changes_nothing(pipeline: Home) -> None:
    api = AirflowApi(pipeline.setting)
    run_id = api.trigger("bootstrap_pipeline")
    assert api.follow("bootstrap_pipeline", run_id, DAG_S, lambda task, state: print(f"  {task} {state}")) == "success"
    for task in api.tasks("bootstrap_pipeline", run_id):
        text = "\n".join(api.log("bootstrap_pipeline", run_id, task["task_id"]))
        assert "created" not in text.split("outcome")[-1], text
        assert "drift" not in text.split("outcome")[-1], text
