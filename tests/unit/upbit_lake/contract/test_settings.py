"""The environment is read strictly, and no secret leaves it by accident."""

from __future__ import annotations

import pytest

from upbit_lake.contract.settings import (
    FORMER_NAMES,
    DockerSettings,
    Settings,
    SettingsError,
    SupervisorSettings,
    warn_of_former_names,
)

LOGIN = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_USERNAME": "airflow", "KAFKA_PASSWORD": "hidden-kafka"}
SECRETS = {"S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "hidden-s3"}


def test_endpoints_have_local_defaults_and_lose_their_slash() -> None:
    settings = Settings.from_environment(SECRETS | {"FLINK_REST_URL": "http://jobmanager:8081/"})
    assert settings.flink_rest_url == "http://jobmanager:8081"
    assert settings.flink_gateway_url == "http://127.0.0.1:18083"
    assert settings.s3.region == "us-east-1"


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
        ("CONTROL_INGESTER_BY", "systemd"),
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


DOCKER = {
    "CONTROL_INGESTER_BY": "docker",
    "CONTROL_INGESTER_URL": "http://ingester:1",
    "CONTROL_INGESTER_DOCKER_URL": "http://proxy:2",
    "CONTROL_INGESTER_PROCESS": "upbit-ingester",
}
SUPERVISOR = {"CONTROL_INGESTER_SUPERVISOR_SOCKET": "/run/s", "CONTROL_INGESTER_PROCESS": "i"}


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of a process that has warned of nothing yet."""
    warn_of_former_names.cache_clear()
    return caplog


def under_former_names(environment: dict[str, str]) -> dict[str, str]:
    former = {new: old for old, new in FORMER_NAMES.items()}
    return {former[name]: value for name, value in environment.items()}


def test_the_ingester_is_controlled_by_supervisord_unless_docker_is_named(warnings: pytest.LogCaptureFixture) -> None:
    assert Settings.from_environment(SECRETS).ingester_control == SupervisorSettings("", "ingester")
    assert Settings.from_environment(SECRETS | SUPERVISOR).ingester_control == SupervisorSettings("/run/s", "i")
    by_docker = Settings.from_environment(SECRETS | DOCKER)
    assert by_docker.ingester_control == DockerSettings("http://proxy:2", "upbit-ingester")
    assert by_docker.ingester_url == "http://ingester:1"
    assert warnings.messages == []


@pytest.mark.parametrize("given", [DOCKER, SUPERVISOR])
def test_former_names_still_serve_with_one_warning_a_process(
    given: dict[str, str], warnings: pytest.LogCaptureFixture
) -> None:
    old = under_former_names(given)
    for _ in range(3):
        assert Settings.from_environment(SECRETS | old) == Settings.from_environment(SECRETS | given)
    (warning,) = warnings.records
    assert warning.levelname == "WARNING"
    assert [name for name in old if f"{name} is now {FORMER_NAMES[name]}" not in warning.message] == []


@pytest.mark.parametrize("name", FORMER_NAMES)
def test_a_former_name_is_warned_of_by_itself(name: str, warnings: pytest.LogCaptureFixture) -> None:
    Settings.from_environment(SECRETS | {name: (DOCKER | SUPERVISOR)[FORMER_NAMES[name]]})
    assert warnings.messages == [f"{name} is now {FORMER_NAMES[name]}; rename what is set"]


def test_the_new_name_wins_and_an_empty_one_is_not_given(warnings: pytest.LogCaptureFixture) -> None:
    both = Settings.from_environment(SECRETS | DOCKER | {"INGESTER_PROCESS": "other", "INGESTER_CONTROL": "supervisor"})
    assert both == Settings.from_environment(SECRETS | DOCKER)
    assert len(warnings.messages) == 1
    empty = {**DOCKER, "CONTROL_INGESTER_PROCESS": "", "INGESTER_PROCESS": "other", "INGESTER_URL": ""}
    assert Settings.from_environment(SECRETS | empty).ingester_control == DockerSettings("http://proxy:2", "other")


def test_a_variable_of_a_controller_to_come_stops_nothing() -> None:
    to_come = {"CONTROL_INGESTER_KUBERNETES_NAMESPACE": "x"}
    assert Settings.from_environment(SECRETS | to_come) == Settings.from_environment(SECRETS)
