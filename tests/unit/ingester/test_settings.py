"""Settings: safe defaults, and one line for each kind of nonsense."""

import os
from pathlib import Path

import pytest

from upbit_ingester import contract, settings
from upbit_lake.contract.settings import FORMER_NAMES

KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:19092"}
LOGIN = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_USERNAME": "me", "KAFKA_PASSWORD": "hidden"}


def environment(tmp_path: Path, **changes: str) -> dict[str, str]:
    return {**KAFKA, "INGESTER_SPOOL_DIR": str(tmp_path / "spool"), **changes}


def test_defaults_are_the_live_exchange_and_everything(tmp_path: Path) -> None:
    loaded = settings.load(environment(tmp_path))
    assert loaded.websocket_url == "wss://api.upbit.com/websocket/v1"
    assert loaded.rest_url == "https://api.upbit.com/v1"
    assert loaded.codes == ()
    assert loaded.streams == tuple(loaded.contract.streams)
    assert (loaded.http_host, loaded.http_port) == ("127.0.0.1", 18090)
    assert (loaded.redundancy, loaded.markets_refresh_s) == (1, 60.0)


def test_narrowing(tmp_path: Path) -> None:
    loaded = settings.load(environment(tmp_path, UPBIT_CODES=" KRW-BTC,KRW-ETH, KRW-BTC", UPBIT_STREAMS="trade"))
    assert loaded.codes == ("KRW-BTC", "KRW-ETH")
    assert loaded.streams == ("trade",)


def test_kafka_is_plain_unless_a_login_is_given(tmp_path: Path) -> None:
    plain = {"bootstrap.servers": "127.0.0.1:19092", "security.protocol": "PLAINTEXT"}
    assert settings.load(environment(tmp_path)).kafka == plain
    loaded = settings.load(environment(tmp_path, **LOGIN))
    login = {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "me", "sasl.password": "hidden"}
    assert loaded.kafka == {**plain, **login, "security.protocol": "SASL_PLAINTEXT"}
    assert "hidden" not in repr(loaded)


def test_variables_of_other_parts_are_no_typos(tmp_path: Path) -> None:
    to_come = {"CONTROL_INGESTER_KUBERNETES_NAMESPACE": "x", "CONTROL_INGESTER_BY": "docker"}
    given = environment(tmp_path, **to_come)
    assert settings.load(given) == settings.load(environment(tmp_path))
    assert settings.warning(given) == ""


def test_former_names_of_the_control_plane_stop_nothing_and_are_named_in_one_line(tmp_path: Path) -> None:
    given = environment(tmp_path, **dict.fromkeys(FORMER_NAMES, "x"))
    assert settings.load(given) == settings.load(environment(tmp_path))
    said = settings.warning(given)
    assert "\n" not in said
    assert said.count(" is now CONTROL_INGESTER_") == len(FORMER_NAMES)
    only = settings.warning(environment(tmp_path, INGESTER_URL="http://x", INGESTER_PROCESS=""))
    assert only.startswith("INGESTER_URL is now CONTROL_INGESTER_URL: a setting of the control plane")


def test_both_parts_know_the_same_former_names() -> None:
    assert settings.FORMER_NAMES_OF_CONTROL == FORMER_NAMES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"UPBIT_STREAMS": "trade,candle"}, "UPBIT_STREAMS: unknown stream 'candle'; known: ticker, trade, orderbook"),
        ({"UPBIT_CODES": "krw-btc"}, "UPBIT_CODES: 'krw-btc' is not a market code"),
        ({"UPBIT_CODES": "KRWBTC"}, "UPBIT_CODES: 'KRWBTC' is not a market code"),
        ({"UPBIT_WEBSOCKET_URL": "http://x/"}, "UPBIT_WEBSOCKET_URL: 'http://x/' is not a usable address"),
        ({"UPBIT_WEBSOCKET_URL": "ws://x:99999/"}, "UPBIT_WEBSOCKET_URL: 'ws://x:99999/' is not a usable address"),
        ({"UPBIT_REST_URL": "https:///v1"}, "UPBIT_REST_URL: 'https:///v1' is not a usable address"),
        ({"UPBIT_CODE": "KRW-BTC"}, "UPBIT_CODE: unknown setting; did you mean UPBIT_CODES?"),
        ({"INGESTER_SPOOLDIR": "x"}, "INGESTER_SPOOLDIR: unknown setting; did you mean INGESTER_SPOOL_DIR?"),
        ({"INGESTER_KUBERNETES_NAMESPACE": "x"}, "INGESTER_KUBERNETES_NAMESPACE: unknown setting; "),
        ({"UPBIT_REDUNDANCY": "3"}, "UPBIT_REDUNDANCY: '3' is not a whole number from 1 to 2"),
        ({"UPBIT_REDUNDANCY": "0"}, "UPBIT_REDUNDANCY: '0' is not a whole number from 1 to 2"),
        ({"UPBIT_MARKETS_REFRESH_S": "0"}, "UPBIT_MARKETS_REFRESH_S: '0' is not a whole number from 1 to 3600"),
        ({"INGESTER_HTTP_PORT": "0"}, "INGESTER_HTTP_PORT: '0' is not a whole number from 1 to 65535"),
        ({"INGESTER_HTTP_PORT": "8o"}, "INGESTER_HTTP_PORT: '8o' is not a whole number from 1 to 65535"),
        ({"INGESTER_LOG_LEVEL": "LOUD"}, "INGESTER_LOG_LEVEL: 'LOUD' is none of"),
        ({"KAFKA_BOOTSTRAP_SERVERS": ""}, "KAFKA_BOOTSTRAP_SERVERS: is not set"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "localhost"}, "KAFKA_BOOTSTRAP_SERVERS: 'localhost' is not host:port"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL"}, "KAFKA_SECURITY_PROTOCOL: 'SASL' is none of"),
        ({"KAFKA_USERNAME": "me"}, "KAFKA_USERNAME: is set, but KAFKA_SECURITY_PROTOCOL is PLAINTEXT"),
        ({**LOGIN, "KAFKA_USERNAME": ""}, "KAFKA_USERNAME: is not set; KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT"),
        ({**LOGIN, "KAFKA_PASSWORD": ""}, "KAFKA_PASSWORD: is not set; KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT"),
        ({**LOGIN, "KAFKA_SASL_MECHANISM": "OAUTH"}, "KAFKA_SASL_MECHANISM: 'OAUTH' is none of"),
        ({"INGESTER_SPOOL_DIR": ""}, "INGESTER_SPOOL_DIR: is not set"),
        ({"INGESTER_SPOOL_DIR": "/proc/spool"}, "INGESTER_SPOOL_DIR: cannot write in /proc/spool"),
        ({"PIPELINE_CONTRACT": "/nowhere.toml"}, "/nowhere.toml: cannot read the contract"),
    ],
)
def test_nonsense_is_refused_in_one_line(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(settings.SettingsError) as refused:
        settings.load(environment(tmp_path, **changes))
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_a_stream_of_the_contract_without_a_struct_is_refused_in_one_line(tmp_path: Path) -> None:
    text = contract.DEFAULT_PATH.read_text(encoding="utf-8").replace("[streams.ticker]", "[streams.candle]")
    (tmp_path / "pipeline.toml").write_text(text, encoding="utf-8")
    with pytest.raises(settings.SettingsError, match=r"^pipeline\.toml: streams\.candle: the gate has no struct"):
        settings.load(environment(tmp_path, PIPELINE_CONTRACT=str(tmp_path / "pipeline.toml"), UPBIT_STREAMS="trade"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_spool_directory_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(settings.SettingsError, match="cannot write"):
        settings.load(environment(tmp_path))
