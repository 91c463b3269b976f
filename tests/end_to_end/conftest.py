"""The whole pipeline, brought up as a user does, on a small market two hours back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from local.commands.airflow_api import AirflowApi
from local.commands.query import rows
from local.home.setting import Setting
from local.parts.exchange import exchange_status
from local.parts.http import get_json
from tests.harness import recorded_gaps, truth
from tests.harness.home import Home
from tests.harness.waiting import until
from upbit_lake.contract.reader import load_contract
from upbit_lake.jobs.identity import pipeline_name

# 40 codes, 12.5 frames in an exchange second: 150 frames in a second of ours until the present is reached.
# The lake is compared with the whole ledger, so all of it is kept.
WHOLE_LEDGER = {"EXCHANGE_LEDGER_KEEP_GB": "0"}
SMALL_MARKET = {"EXCHANGE_CODES": "40", "EXCHANGE_RATE": "12.5", "EXCHANGE_SEED": "7", **WHOLE_LEDGER}
SPEED = 12
# At the speed of real time.
MARKET = {"EXCHANGE_CODES": "40", "EXCHANGE_RATE": "150", "EXCHANGE_SEED": "11", **WHOLE_LEDGER}
# Supervising DAGs look each minute; a JobManager's empty job list counts as lost after another one.
HEAL_S = 480
DAG_S = 600
# The exchange's clock reaches the end of the hours that are waited for; they close a little later.
CATCH_UP_S = 600
GRACE_MS = 3 * 60_000
# The steps of bootstrap_pipeline that build something; the others look on.
CHANGING_STEPS = ("topics", "buckets", "lake_tables", "streaming_jobs", "ingester")
# SeaweedFS serves gRPC 10,000 above its ports: they stay below the range that outgoing connections take (32,768).
PORT_OFFSET = 2500


def start_with_two_closed_hours() -> datetime:
    """80 minutes before this hour: 20 minutes of one hour and a whole one, both closed after seven minutes of ours."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(minutes=80)


def assert_no_trade_is_missing(setting: Setting) -> None:
    """Every trade published until now reaches the lake, once."""
    truth.assert_no_trade_is_missing(truth.lake_of(setting), truth.published(setting.places.data / "ledger"))


def assert_missing_only_in_gaps(setting: Setting, stream: str) -> None:
    """Of the tickers or books until half a minute before the lake's newest; none is there that was not published."""
    found = truth.lake_keys(truth.lake_of(setting), stream)
    kept = set(found)
    assert len(found) == len(kept), f"a {stream} stands twice"
    ledger = truth.published(setting.places.data / "ledger")  # read after the lake: the exchange goes on
    published = {key for keys in ledger.keys[stream].values() for key in keys}
    assert not kept - published - ledger.initial[stream], f"a {stream} was not published"
    until_ms = max(key[1] for key in kept) - 30_000
    missing = {key for key in published - kept if key[1] < until_ms}
    gaps = recorded_gaps.of_stream(setting.places.data / "spool", stream)
    print(f"  {stream}: {len(published)} published, {len(missing)} missing, {len(gaps)} gaps")
    outside = {key for key in missing if not recorded_gaps.cover(gaps, key[1])}
    assert not outside, f"{stream}: {sorted(outside)[:5]} are missing outside of {gaps}"


def clock_ms(setting: Setting) -> int:
    """The exchange's clock."""
    return int(exchange_status(setting)["clock_ms"])


def wait_until_fresh(setting: Setting) -> None:
    """Every stream's newest event in the lake is younger than the exchange's clock now."""
    now_ms = clock_ms(setting)

    def newest() -> bool:
        times = {"ticker": "timestamp", "trade": "trade_timestamp", "orderbook": "timestamp"}
        return all(
            (rows(setting, f"SELECT max(`{column}`) AS t FROM {table}")[0]["t"] or 0) > now_ms + 1000
            for table, column in times.items()
        )

    until("the lake is fresh again", newest, HEAL_S, every_s=3)


def run_dag(api: AirflowApi, dag: str) -> str:
    """Triggers a DAG, waits for its success and returns the run's id; a failure shows how its tasks' logs end."""
    run_id = api.trigger(dag)
    state = api.follow(dag, run_id, DAG_S, lambda task, state: print(f"  {dag}: {task} {state}"))
    if state != "success":
        ends = {
            str(task["task_id"]): api.log(dag, run_id, str(task["task_id"]), int(task["try_number"]))[-5:]
            for task in api.tasks(dag, run_id)
            if task["state"] not in ("success", "upstream_failed", None)
        }
        raise AssertionError(f"{dag} ended {state}: {ends}")
    return run_id


def close_hours(api: AirflowApi, lake: truth.Lake, hours: Sequence[truth.Hour], patience_s: float) -> None:
    """Runs the closing DAG until these hours have their exact candles.

    An hour closes once the lake has passed it, a checkpoint or two after the exchange.
    """

    def exact() -> bool:
        run_dag(api, "compact_paimon_partitions")
        return all(truth.lake_revisions(lake, hour) == {1} for hour in hours)

    until("the hours closed with exact candles", exact, patience_s, every_s=5)


def bootstrap(api: AirflowApi) -> dict[str, list[str]]:
    """One successful run of bootstrap_pipeline: what each step that builds something says in its log."""
    run_id = run_dag(api, "bootstrap_pipeline")
    attempts = {str(task["task_id"]): int(task["try_number"]) for task in api.tasks("bootstrap_pipeline", run_id)}
    return {step: api.log("bootstrap_pipeline", run_id, step, attempts[step]) for step in CHANGING_STEPS}


def job_names(setting: Setting) -> set[str]:
    """The names under which Flink runs the jobs of the contract."""
    contract = load_contract(setting.contract)
    return {pipeline_name(contract, job) for job in contract.jobs.values()}


def restored_jobs(setting: Setting) -> set[str]:
    """The names of the running Flink jobs that were started from a checkpoint or savepoint."""
    flink = setting.ports.url("flink_rest")
    running = [job for job in (get_json(f"{flink}/jobs/overview") or {})["jobs"] if job["state"] == "RUNNING"]
    latest = {job["name"]: (get_json(f"{flink}/jobs/{job['jid']}/checkpoints") or {})["latest"] for job in running}
    return {name for name, checkpoints in latest.items() if checkpoints["restored"]}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A running pipeline; its first `up` is part of the test."""
    home = Home(tmp_path_factory.mktemp("pipeline"), port_offset=PORT_OFFSET, settings=SMALL_MARKET)
    start = start_with_two_closed_hours()
    with home.running("--source", "exchange", "--speed", str(SPEED), "--start", start.isoformat()):
        yield home
