"""What a person does to containers that have run for a while: secrets rotated, the lake saved, put back, made again."""

from __future__ import annotations

import pytest
import requests

from tests.compose.asking import ask_kafka, ask_postgres, ask_s3
from tests.compose.project import S3_UI_PORT, Project
from tests.compose.test_pipeline_faults import goes_on, jobs
from tests.end_to_end.conftest import bootstrap, run_dag
from tests.harness.waiting import answers, until

pytestmark = [pytest.mark.compose, pytest.mark.nightly]

# As docs/containers.md says: who commands, who works, and what they keep.
KEEPERS = ("minio-1", "minio-2", "minio-3", "minio-4", "postgres", "zookeeper")
USERS = (
    "airflow-scheduler", "airflow-dags", "airflow-triggerer", "airflow-api", "gateway", "jobmanager", "taskmanager-1",
    "taskmanager-2",
)  # fmt: skip
ROTATED = (
    "KAFKA_BROKER_PASSWORD", "KAFKA_INGESTER_PASSWORD", "KAFKA_FLINK_PASSWORD", "KAFKA_AIRFLOW_PASSWORD",
    "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY", "FLINK_S3_ACCESS_KEY",
    "FLINK_S3_SECRET_KEY", "AIRFLOW_DB_PASSWORD", "PAIMON_DB_PASSWORD", "PIPELINE_DB_PASSWORD", "AIRFLOW_PASSWORD",
    "AIRFLOW_SECRET_KEY", "AIRFLOW_JWT_SECRET",
)  # fmt: skip


def test_the_store_s_console_takes_the_key_that_reads(pipeline: Project) -> None:
    address = f"http://127.0.0.1:{S3_UI_PORT}"
    pipeline.compose("up", "--detach", "--no-build", "s3-ui")
    try:
        until("the console answers", lambda: answers(address), 60)
        assert "<html" in requests.get(address, timeout=10).text
        login = {"accessKey": pipeline.secrets["S3_ACCESS_KEY"], "secretKey": pipeline.secrets["S3_SECRET_KEY"]}
        assert requests.post(f"{address}/api/v1/login", json=login, timeout=10).ok
        guessed = {**login, "secretKey": "guessed-secret"}
        assert requests.post(f"{address}/api/v1/login", json=guessed, timeout=10).status_code in (401, 403)
        assert requests.get(f"{address}/api/v1/buckets", timeout=10).status_code in (401, 403)
    finally:
        pipeline.compose("rm", "--stop", "--force", "s3-ui")


def test_rotated_secrets_serve_and_the_old_ones_are_refused(pipeline: Project) -> None:
    old, before = pipeline.secrets, jobs(pipeline)
    pipeline.rotate(*ROTATED)
    assert [name for name in ROTATED if pipeline.secrets[name] == old[name]] == []
    pipeline.up()
    goes_on(pipeline)
    assert jobs(pipeline) == before
    run_dag(pipeline.airflow(), "bootstrap_pipeline")

    now = pipeline.secrets
    for user in ("ingester", "flink", "airflow"):
        assert ask_kafka(pipeline, user, now[f"KAFKA_{user.upper()}_PASSWORD"]) == "ok"
        assert "KafkaException" in ask_kafka(pipeline, user, old[f"KAFKA_{user.upper()}_PASSWORD"])
    for key, secret in (
        ("S3_ACCESS_KEY", "S3_SECRET_KEY"),
        ("FLINK_S3_ACCESS_KEY", "FLINK_S3_SECRET_KEY"),
        ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
    ):
        assert ask_s3(pipeline, now[key], now[secret]) == "ok"
        assert "InvalidAccessKeyId" in ask_s3(pipeline, old[key], old[secret])
    for user in ("airflow", "paimon", "pipeline"):
        name = f"{user.upper()}_DB_PASSWORD"
        assert ask_postgres(pipeline, user, now[name], user) == "ok"
        assert "authentication failed" in ask_postgres(pipeline, user, old[name], user)


def test_a_catalog_is_made_again_from_the_warehouse_alone(pipeline: Project) -> None:
    """All of PostgreSQL is gone: the catalog, Airflow's memory and the verdicts."""
    pipeline.compose("stop", *USERS)
    pipeline.compose("rm", "--stop", "--force", "postgres")
    pipeline.engine.docker("volume", "rm", f"{pipeline.name}_postgres")
    pipeline.up()
    said = bootstrap(pipeline.airflow())
    assert "trade: repaired: was in the warehouse and not in the catalog" in said["lake_tables"]
    goes_on(pipeline)
    assert "trade: unchanged" in bootstrap(pipeline.airflow())["lake_tables"]


def test_a_lake_that_was_saved_is_put_back_and_catches_up(pipeline: Project) -> None:
    def stopped_for(action: str) -> None:
        pipeline.compose("stop", *USERS)
        pipeline.compose("stop", *KEEPERS)
        print(pipeline.compose("run", "--rm", "backup", action).strip())
        pipeline.up()

    stopped_for("save")
    goes_on(pipeline)
    # What came after is read from Kafka again.
    stopped_for("restore")
    goes_on(pipeline)
    run_dag(pipeline.airflow(), "bootstrap_pipeline")
