"""A compose project of an older release goes on under this one: new images on its volumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.compose.conftest import SPEED
from tests.compose.containers import unique
from tests.compose.engine import Engine
from tests.compose.images import RECIPES, Images
from tests.compose.project import IN_AIRFLOW, Project
from tests.compose.test_pipeline_faults import goes_on, jobs
from tests.end_to_end.conftest import (
    CATCH_UP_S,
    GRACE_MS,
    SMALL_MARKET,
    close_hours,
    run_dag,
    start_with_two_closed_hours,
)
from tests.harness import kept, truth
from tests.harness.older import checkout_of
from tests.harness.waiting import until

pytestmark = [pytest.mark.compose, pytest.mark.nightly]

# Where the older release had its Dockerfiles, and the command that asked its lake.
OLDER_RECIPES = {
    name: replace(recipe, dockerfile=recipe.dockerfile.replace("deploy/images/", "containers/"))
    for name, recipe in RECIPES.items()
}
OLDER_QUERY = (*IN_AIRFLOW, "-m", "upbit_lake.lake_query")
ASK_DATABASE = """
import json, os, sys, psycopg
from psycopg.rows import dict_row
with psycopg.connect(os.environ["AIRFLOW_CONN_PIPELINE_DB"], row_factory=dict_row) as connection:
    print(json.dumps(connection.execute(sys.argv[1]).fetchall()))
"""


@dataclass(frozen=True)
class Before:
    """What the older release left when the newer one came."""

    project: Project
    hour: truth.Hour
    rows: kept.Rows
    jobs: dict[str, str]


@pytest.fixture(scope="module")
def before(docker: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Before]:
    """An hour closed and verified by the older release, whose containers are then replaced by this one's."""
    older = Images(docker, checkout_of("8afb9c2", tmp_path_factory.mktemp("checkout")), OLDER_RECIPES)
    clock = {"EXCHANGE_START": start_with_two_closed_hours().isoformat(), "EXCHANGE_SPEED": SPEED}
    project = Project(older, tmp_path_factory.mktemp("compose"), unique("upbit-upgrade"), {**SMALL_MARKET, **clock})
    project.take(older, OLDER_QUERY)
    with project.running():
        api = project.airflow()
        run_dag(api, "bootstrap_pipeline")
        end_ms = project.started_ms - project.started_ms % 3_600_000
        until("exchange clock past the hour", lambda: project.clock_ms() > end_ms + GRACE_MS, CATCH_UP_S)
        hour = truth.hour_of(end_ms - 1)
        close_hours(api, project.lake, [hour], CATCH_UP_S)
        run_dag(api, "verify_paimon_partitions")
        found = Before(project, hour, control_rows(project), jobs(project))
        project.take(Images(docker))
        project.up()
        until("all jobs run", lambda: jobs(project).keys() == found.jobs.keys(), 300)
        yield found


def control_rows(project: Project) -> kept.Rows:
    """The control database's rows by table, asked by Airflow's scheduler."""

    def ask(query: str) -> list[dict[str, Any]]:
        return list(json.loads(project.run("airflow-scheduler", *IN_AIRFLOW, "-c", ASK_DATABASE, query)))

    return kept.rows(ask)


def test_the_jobs_go_on_under_their_ids(before: Before) -> None:
    """ZooKeeper keeps what the JobManager needs to resume each from its own state."""
    assert before.jobs
    assert jobs(before.project) == before.jobs
    goes_on(before.project)


def test_a_bootstrap_changes_nothing_that_was_proved(before: Before) -> None:
    api = before.project.airflow()
    run_dag(api, "bootstrap_pipeline")
    run_dag(api, "verify_paimon_partitions")
    now = control_rows(before.project)
    kept.assert_all_are_there(before.rows, now)
    kept.assert_nothing_was_verified_again(before.rows, now)


def test_no_key_is_lost(before: Before) -> None:
    ledger = before.project.ledger()
    truth.assert_trades_and_candles_are_exact(before.project.lake, ledger, before.hour)
    for stream in ("ticker", "orderbook"):
        truth.assert_each_key_stands_once(before.project.lake, ledger, stream, before.hour)
