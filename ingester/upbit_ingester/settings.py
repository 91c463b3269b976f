"""Every setting of the ingester: read once from the environment, checked, frozen."""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from upbit_ingester import contract
from upbit_ingester.contract import Contract
from upbit_ingester.gate.frames import CODE, STREAMS
from upbit_ingester.health import logs

MIB = 1024 * 1024

# The control plane read these before its names had a prefix of their own; where they are still set, they stop nothing.
FORMER_NAMES_OF_CONTROL = {
    "INGESTER_CONTROL": "CONTROL_INGESTER_BY",
    "INGESTER_URL": "CONTROL_INGESTER_URL",
    "INGESTER_SUPERVISOR_SOCKET": "CONTROL_INGESTER_SUPERVISOR_SOCKET",
    "INGESTER_DOCKER_URL": "CONTROL_INGESTER_DOCKER_URL",
    "INGESTER_PROCESS": "CONTROL_INGESTER_PROCESS",
}
_KNOWN = (
    "UPBIT_WEBSOCKET_URL",
    "UPBIT_REST_URL",
    "UPBIT_CODES",
    "UPBIT_STREAMS",
    "UPBIT_REDUNDANCY",
    "UPBIT_MARKETS_REFRESH_S",
    "INGESTER_HTTP_HOST",
    "INGESTER_HTTP_PORT",
    "INGESTER_SPOOL_DIR",
    "INGESTER_SPOOL_MAX_MB",
    "INGESTER_SPOOL_MAX_AGE_H",
    "INGESTER_SPOOL_SYNC_MS",
    "INGESTER_IN_FLIGHT_MB",
    "INGESTER_SILENCE_S",
    "INGESTER_LOG_LEVEL",
    "INGESTER_LOG_FORMAT",
)
_CODE = re.compile(CODE)
_BOOTSTRAP = re.compile(r"[^\s:,/]+:[0-9]{1,5}|\[[0-9A-Fa-f:]+\]:[0-9]{1,5}")
_PROTOCOLS = ("PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(ValueError):
    """A setting is nonsense; the text names the variable, what is wrong and what it takes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The ingester's configuration. Sizes in bytes, durations in seconds."""

    websocket_url: str
    rest_url: str
    codes: tuple[str, ...]  # empty = every market of REST /market/all
    streams: tuple[str, ...]
    redundancy: int  # sockets a stream
    markets_refresh_s: float
    kafka: Mapping[str, str] = field(repr=False)  # what librdkafka needs to connect; holds the password
    http_host: str
    http_port: int
    spool_dir: Path
    spool_max_bytes: int
    spool_max_age_s: float
    spool_sync_s: float
    in_flight_max_bytes: int
    silence_s: float
    log_level: str
    log_format: str
    contract: Contract


def load(environment: Mapping[str, str]) -> Settings:
    """Read the settings from `environment`.

    Raises:
        SettingsError: a variable is missing, malformed or unknown (a typo would otherwise pass in silence).
    """
    _refuse_unknown(environment)
    try:
        pipeline = contract.load(Path(environment.get("PIPELINE_CONTRACT") or contract.DEFAULT_PATH))
    except contract.ContractError as error:
        raise SettingsError(str(error)) from None
    return Settings(
        websocket_url=_url(environment, "UPBIT_WEBSOCKET_URL", "wss://api.upbit.com/websocket/v1", ("ws", "wss")),
        rest_url=_url(environment, "UPBIT_REST_URL", "https://api.upbit.com/v1", ("http", "https")).rstrip("/"),
        codes=_codes(environment.get("UPBIT_CODES", "")),
        streams=_streams(environment.get("UPBIT_STREAMS", ""), pipeline),
        redundancy=_integer(environment, "UPBIT_REDUNDANCY", 1, 1, 2),
        markets_refresh_s=float(_integer(environment, "UPBIT_MARKETS_REFRESH_S", 60, 1, 3600)),
        kafka=_kafka(environment),
        http_host=environment.get("INGESTER_HTTP_HOST") or "127.0.0.1",
        http_port=_integer(environment, "INGESTER_HTTP_PORT", 18090, 1, 65535),
        spool_dir=_spool_dir(environment.get("INGESTER_SPOOL_DIR", "")),
        spool_max_bytes=_integer(environment, "INGESTER_SPOOL_MAX_MB", 4096, 64, 1_048_576) * MIB,
        spool_max_age_s=_integer(environment, "INGESTER_SPOOL_MAX_AGE_H", 168, 1, 8760) * 3600.0,
        spool_sync_s=_integer(environment, "INGESTER_SPOOL_SYNC_MS", 20, 1, 1000) / 1000,
        in_flight_max_bytes=_integer(environment, "INGESTER_IN_FLIGHT_MB", 32, 16, 240) * MIB,
        silence_s=float(_integer(environment, "INGESTER_SILENCE_S", 45, 1, 45)),
        log_level=_one_of(environment, "INGESTER_LOG_LEVEL", "INFO", _LOG_LEVELS),
        log_format=_one_of(environment, "INGESTER_LOG_FORMAT", logs.TEXT, logs.FORMATS),
        contract=pipeline,
    )


def warning(environment: Mapping[str, str]) -> str:
    """One line that names the control plane's former names among the variables that are set; empty without any."""
    renamed = [f"{old} is now {new}" for old, new in FORMER_NAMES_OF_CONTROL.items() if environment.get(old)]
    return f"{', '.join(renamed)}: a setting of the control plane, which the ingester ignores" if renamed else ""


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    for name in environment:
        if name in FORMER_NAMES_OF_CONTROL:
            continue
        if name.startswith(("UPBIT_", "INGESTER_")) and name not in _KNOWN:
            close = difflib.get_close_matches(name, _KNOWN, 1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(_KNOWN)}"
            raise SettingsError(f"{name}: unknown setting; {hint}")


def _url(environment: Mapping[str, str], name: str, default: str, schemes: tuple[str, ...]) -> str:
    url = environment.get(name) or default
    takes = f"it takes {' or '.join(f'{scheme}://host[:port]/path' for scheme in schemes)}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", url):
        raise SettingsError(f"{name}: {url!r} is not a usable address; {takes}")
    return url


def _codes(text: str) -> tuple[str, ...]:
    codes = [code.strip() for code in text.split(",") if code.strip()]
    for code in codes:
        if not _CODE.fullmatch(code):
            raise SettingsError(
                f"UPBIT_CODES: {code!r} is not a market code; write it as KRW-BTC, upper case, quote currency first "
                "(the exchange answers a wrong code with silence)"
            )
    return tuple(dict.fromkeys(codes))


def _streams(text: str, pipeline: Contract) -> tuple[str, ...]:
    for name in pipeline.streams:
        if name not in STREAMS:
            raise SettingsError(
                f"pipeline.toml: streams.{name}: the gate has no struct for it; add one to "
                "upbit_ingester/gate/frames.py"
            )
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in pipeline.streams:
            raise SettingsError(f"UPBIT_STREAMS: unknown stream {name!r}; known: {', '.join(pipeline.streams)}")
    return names or tuple(pipeline.streams)


def _kafka(environment: Mapping[str, str]) -> dict[str, str]:
    protocol = _one_of(environment, "KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", _PROTOCOLS)
    found = {
        "bootstrap.servers": _bootstrap(environment.get("KAFKA_BOOTSTRAP_SERVERS", "")),
        "security.protocol": protocol,
    }
    login = {name: environment.get(name, "") for name in ("KAFKA_USERNAME", "KAFKA_PASSWORD")}
    for name, value in login.items():
        if bool(value) == (protocol == "PLAINTEXT"):
            wrong = "is set, but" if value else "is not set;"
            raise SettingsError(f"{name}: {wrong} KAFKA_SECURITY_PROTOCOL is {protocol}")
    if protocol != "PLAINTEXT":
        found["sasl.mechanism"] = _one_of(environment, "KAFKA_SASL_MECHANISM", "SCRAM-SHA-512", _MECHANISMS)
        found["sasl.username"], found["sasl.password"] = login.values()
    return found


def _bootstrap(text: str) -> str:
    servers = [server.strip() for server in text.split(",") if server.strip()]
    if not servers:
        raise SettingsError("KAFKA_BOOTSTRAP_SERVERS: is not set; it takes host:port[,host:port]")
    for server in servers:
        if not _BOOTSTRAP.fullmatch(server):
            raise SettingsError(f"KAFKA_BOOTSTRAP_SERVERS: {server!r} is not host:port")
    return ",".join(servers)


def _integer(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environment.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
        raise SettingsError(f"{name}: {text!r} is not a whole number from {low} to {high}")
    return int(text)


def _one_of(environment: Mapping[str, str], name: str, default: str, values: tuple[str, ...]) -> str:
    value = environment.get(name) or default
    if value not in values:
        raise SettingsError(f"{name}: {value!r} is none of {', '.join(values)}")
    return value


def _spool_dir(text: str) -> Path:
    if not text:
        raise SettingsError("INGESTER_SPOOL_DIR: is not set; it takes a directory that survives a restart")
    path = Path(text).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".writable-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise SettingsError(f"INGESTER_SPOOL_DIR: cannot write in {path} ({error.strerror})") from None
    return path
