"""The environment is read strictly, and no secret leaves it by accident."""

from __future__ import annotations

import pytest

from upbit_lake.contract.settings import Settings, SettingsError

LOGIN = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_USERNAME": "airflow", "KAFKA_PASSWORD": "hidden-kafka"}
SECRETS = {"S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "hidden-s3"}


def test_endpoints_have_local_defaults_and_lose_their_slash() -> None:
    settings = Settings.from_environment(SECRETS | {"FLINK_REST_URL": "http://jobmanager:8081/"})
    assert settings.flink_rest_url == "http://jobmanager:8081"
    assert settings.flink_gateway_url == "http://127.0.0.1:18083"
    assert settings.s3_region == "us-east-1"


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", [None, ""])
def test_a_secret_has_no_default(name: str, value: str | None) -> None:
    environment = {key: item for key, item in SECRETS.items() if key != name} | ({name: value} if value == "" else {})
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        Settings.from_environment(environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLINK_REST_URL", "jobmanager:8081"),
        ("S3_ENDPOINT", "s3://x"),
        ("CATALOG_JDBC_URL", "postgresql://x/paimon"),
        ("KAFKA_BOOTSTRAP_SERVERS", "localhost"),
        ("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092,:9093"),
        ("INGESTER_CONTROL", "systemd"),
        ("KAFKA_SECURITY_PROTOCOL", "SASL"),
        ("KAFKA_USERNAME", "airflow"),  # without a protocol that sends it
        ("KAFKA_PASSWORD", "hidden-kafka"),
    ],
)
def test_nonsense_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment(SECRETS | {name: value})


def test_secrets_are_not_shown() -> None:
    assert "hidden" not in repr(Settings.from_environment(SECRETS | LOGIN))


def test_kafka_is_plain_unless_a_login_is_given() -> None:
    plain = Settings.from_environment(SECRETS | {"KAFKA_BOOTSTRAP_SERVERS": "k:1"}).kafka
    assert plain.client == {"bootstrap.servers": "k:1", "security.protocol": "PLAINTEXT"}
    login = Settings.from_environment(SECRETS | LOGIN | {"KAFKA_BOOTSTRAP_SERVERS": "k:1"}).kafka
    assert login.client == {
        "bootstrap.servers": "k:1",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "airflow",
        "sasl.password": "hidden-kafka",
    }


@pytest.mark.parametrize("name", ["KAFKA_USERNAME", "KAFKA_PASSWORD"])
def test_half_a_login_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        Settings.from_environment(SECRETS | LOGIN | {name: ""})
