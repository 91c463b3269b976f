"""Topics, buckets, tables, leases and alarms on real engines: made once, repaired, and never silently changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import psycopg
import pytest

from tests.harness.home import Home
from tests.harness.waiting import until
from tests.integration.access import grant_rights
from tests.integration.control_plane import copied_contract, engines_of
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.gateway import GatewayError, GatewayTimeoutError
from upbit_lake.engines.flink.session import BATCH, lake_session
from upbit_lake.engines.kafka.admin import topic_ids
from upbit_lake.engines.postgres import connect
from upbit_lake.reconcile.buckets import reconcile_buckets
from upbit_lake.reconcile.outcome import CREATED, UNCHANGED, Outcome, State
from upbit_lake.reconcile.tables import reconcile_database, reconcile_tables
from upbit_lake.reconcile.topics import reconcile_topics
from upbit_lake.state import alarms, leases

pytestmark = pytest.mark.engines
NAME = "cpr"


@pytest.fixture(scope="module")
def plane(engines: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    plane = engines_of(engines, copied_contract(tmp_path_factory.mktemp(NAME), NAME))
    reconcile_buckets(plane.s3, plane.contract.buckets)
    yield plane
    plane.db.close()


def test_topics_are_created_kept_and_repaired(plane: Engines) -> None:
    wanted = plane.contract.topics.values()
    assert set(reconcile_topics(plane.kafka, wanted, dry_run=True).values()) == {Outcome(State.WOULD_CREATE)}
    assert topic_ids(plane.kafka, plane.contract.topics) == {}
    assert set(reconcile_topics(plane.kafka, wanted).values()) == {CREATED}
    assert set(reconcile_topics(plane.kafka, wanted).values()) == {UNCHANGED}

    name = f"{NAME}-trade"
    plane.kafka.set_topic_config(name, {"retention.ms": "5"})
    assert str(reconcile_topics(plane.kafka, wanted, repair=False)[name]).startswith("drift: retention.ms was 5")
    outcome = reconcile_topics(plane.kafka, wanted)
    assert str(outcome[name]) == "repaired: retention.ms was 5, the contract says 259200000"
    assert {key for key, value in outcome.items() if value == UNCHANGED} == set(plane.contract.topics) - {name}

    def repaired() -> bool:
        return plane.kafka.topics([name])[name].config["retention.ms"] == "259200000"

    until("every broker knows the setting", repaired, 30, 0.2)


def test_partitions_grow_only_when_allowed(plane: Engines, engines: Home) -> None:
    name = f"{NAME}-grows"
    topic = replace(plane.contract.topics[f"{NAME}-trade"], name=name, partitions=1)
    grown = replace(plane.contract, topics={name: topic})
    grant_rights(engines, grown)
    reconcile_topics(plane.kafka, [topic])
    more = replace(topic, partitions=3)
    assert "allow growing" in reconcile_topics(plane.kafka, [more])[name].drift[0]
    assert plane.kafka.topics([name])[name].partitions == 1
    assert str(reconcile_topics(plane.kafka, [more], grow=True)[name]).startswith("repaired: 1 partitions")
    assert reconcile_topics(plane.kafka, [more])[name] == UNCHANGED


def test_tables_are_created_kept_and_repaired(plane: Engines) -> None:
    contract, settings = plane.contract, plane.settings
    with lake_session(plane.gateway, contract, settings, NAME) as session:
        reconcile = partial(reconcile_tables, session, contract, settings, plane.s3)
        assert set(reconcile(dry_run=True).values()) == {Outcome(State.WOULD_CREATE)}
        assert reconcile_database(session, contract) == CREATED
        assert set(reconcile().values()) == {CREATED}
        assert set(reconcile().values()) == {UNCHANGED}

        session.run(
            f"ALTER TABLE lake.{NAME}.trade SET ('snapshot.time-retained' = '1 h', 'num-sorted-run.stop-trigger' = '9')"
        )
        session.run(f"ALTER TABLE lake.{NAME}.dead_letter DROP (received_at)")
        outcome = reconcile()
        assert "snapshot.time-retained was 1 h, the file says 24 h" in outcome["trade"].changes
        assert "num-sorted-run.stop-trigger was 9, the file does not set it" in outcome["trade"].changes
        assert outcome["trade"].state is State.REPAIRED
        assert str(outcome["dead_letter"]) == "repaired: column received_at was missing"
        assert {outcome[name] for name in ("ticker", "orderbook", "candle_1m")} == {UNCHANGED}
        assert set(reconcile().values()) == {UNCHANGED}

        session.run(f"ALTER TABLE lake.{NAME}.ticker DROP (`change`)")
        outcome = reconcile()
        assert str(outcome["ticker"]).startswith("drift: column change is missing")


def test_a_catalog_that_was_lost_is_made_again_from_the_warehouse(plane: Engines, engines: Home) -> None:
    contract, settings = plane.contract, plane.settings
    letter = f"lake.{NAME}.dead_letter"
    with lake_session(plane.gateway, contract, settings, NAME, BATCH) as session:
        session.run(
            f"INSERT INTO {letter} (dt, hh, topic, `partition`, `offset`, kafka_partition, kafka_offset)"
            " VALUES ('2026-07-01', '00', 'kept', 0, 7, 0, 7)"
        )
    forget(settings.catalog_jdbc_url, settings.catalog_user, engines.setting.credentials.paimon_db_password, NAME)
    # Another session: the gateway remembers tables.
    with lake_session(plane.gateway, contract, settings, NAME, BATCH) as session:
        reconcile = partial(reconcile_tables, session, contract, settings, plane.s3)
        outcome = reconcile(repair=False)
        what = "was in the warehouse and not in the catalog"
        assert set(outcome.values()) == {Outcome(State.DRIFT, drift=(what,), note="repair is off")}
        with pytest.raises(GatewayError):
            session.run(f"SELECT topic FROM {letter}")
        assert reconcile_database(session, contract) == CREATED
        outcome = reconcile()
        ticker = outcome.pop("ticker")
        assert (ticker.state, ticker.changes) == (State.DRIFT, (what,))
        assert ticker.drift[0].startswith("column change is missing")
        assert set(outcome.values()) == {Outcome(State.REPAIRED, (what,))}
        assert session.run(f"SELECT topic, `offset` FROM {letter}").rows == (("kept", 7),)


def forget(jdbc_url: str, user: str, password: str, database: str) -> None:
    """Take a database and its tables out of the lake's catalog."""
    with psycopg.connect(jdbc_url.removeprefix("jdbc:"), user=user, password=password) as catalog:
        for table in ("paimon_tables", "paimon_database_properties"):
            assert catalog.execute(f"DELETE FROM {table} WHERE database_name = %s", [database]).rowcount


def test_a_failed_statement_is_one_line_without_the_password(plane: Engines, engines: Home) -> None:
    with lake_session(plane.gateway, plane.contract, plane.settings, NAME, BATCH) as session:
        with pytest.raises(GatewayError) as refused:
            session.run("SELECT * FROM lake.nowhere.nothing")
        assert "\n" not in str(refused.value)
        assert "Object 'nowhere' not found" in str(refused.value)
        assert engines.setting.credentials.paimon_db_password not in str(refused.value)
        with pytest.raises(GatewayTimeoutError):
            session.run("SELECT COUNT(*) FROM (VALUES (1)) AS t(x)", timeout_s=0.0)


def test_a_lease_excludes_renews_ends_and_expires(plane: Engines, engines: Home) -> None:
    with connect(engines.task_environment["AIRFLOW_CONN_PIPELINE_DB"]) as other:
        leases.acquire(plane.db, NAME, "bootstrap", 60)
        leases.acquire(plane.db, NAME, "bootstrap", 60)
        with pytest.raises(leases.LeaseHeldError, match="bootstrap until"):
            leases.acquire(other, NAME, "supervisor", 60)
        leases.release(other, NAME, "supervisor")
        with pytest.raises(leases.LeaseHeldError):
            leases.acquire_within(other, NAME, "supervisor", 60, wait_s=0)
        leases.release(plane.db, NAME, "bootstrap")
        leases.acquire(other, NAME, "supervisor", -1)
        leases.acquire(plane.db, NAME, "bootstrap", 60)


def test_an_incident_opens_one_alarm(plane: Engines) -> None:
    def texts() -> list[str]:
        return [row["text"] for row in alarms.open_alarms(plane.db) if row["subject"] == NAME]

    assert alarms.open_alarm(plane.db, NAME, "down") is True
    assert alarms.open_alarm(plane.db, NAME, "still down") is False
    assert texts() == ["down"]
    alarms.settle(plane.db, NAME, None)
    assert texts() == []
    assert alarms.open_alarm(plane.db, NAME, "down again") is True
    assert alarms.close_alarm(plane.db, NAME) is True
    assert alarms.close_alarm(plane.db, NAME) is False
