"""The pipeline's ports are all on 127.0.0.1, and each can be moved by the environment."""

from __future__ import annotations

import difflib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from local.errors import PipelineError
from local.home import json_file
from local.home.places import Places

LOOPBACK = "127.0.0.1"

# SeaweedFS serves gRPC 10,000 above each of its ports, so these stay below 30,000 together with the offset.
DEFAULTS: dict[str, int] = {
    "airflow": 18080,
    "flink_rest": 18081,
    "flink_rpc": 18123,
    "gateway": 18083,
    "kafka_1": 19092,
    "kafka_2": 19093,
    "kafka_3": 19094,
    "controller_1": 19192,
    "controller_2": 19193,
    "controller_3": 19194,
    "s3": 18333,
    "s3_master": 18334,
    "s3_volume": 18335,
    "s3_filer": 18336,
    "postgres": 15432,
    "ingester": 18090,
    "exchange": 18070,
    "exchange_admin": 18071,
}
WITH_GRPC = ("s3", "s3_master", "s3_volume", "s3_filer")


@dataclass(frozen=True)
class Ports:
    """Port numbers by name, for example `ports["airflow"]`."""

    numbers: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.numbers[name]

    @classmethod
    def choose(cls, environment: Mapping[str, str], recorded: Mapping[str, int] | None = None) -> Ports:
        """Takes PIPELINE_PORT_<NAME>, else PIPELINE_PORT_OFFSET, else what the home recorded, else the defaults.

        Raises:
            PipelineError: a number is not a port, or two parts have the same.
        """
        _refuse_unknown(environment)
        base: Mapping[str, int] = {**DEFAULTS, **(recorded or {})}
        if environment.get("PIPELINE_PORT_OFFSET"):
            offset = _number(environment, "PIPELINE_PORT_OFFSET", 0)
            base = {name: default + offset for name, default in DEFAULTS.items()}
        numbers = {name: _number(environment, f"PIPELINE_PORT_{name.upper()}", base[name]) for name in DEFAULTS}
        for name, number in numbers.items():
            highest = 55535 if name in WITH_GRPC else 65535
            if not 1024 <= number <= highest:
                raise PipelineError(
                    f"port {number} for {name} is outside 1024..{highest}: change PIPELINE_PORT_{name.upper()}"
                )
        users = [(n, name) for name, given in numbers.items() for n in _used(name, given)]
        doubled = {n for n, _ in users if [number for number, _ in users].count(n) > 1}
        if doubled:
            names = ", ".join(name for n, name in users if n == min(doubled))
            raise PipelineError(f"port {min(doubled)} is given to {names}: change one of PIPELINE_PORT_<NAME>")
        return cls(numbers)

    @classmethod
    def of_home(cls, places: Places, environment: Mapping[str, str] = os.environ) -> Ports:
        """Returns the home's ports, so that every command finds what was given to `up`."""
        try:
            recorded = json.loads(places.ports_file.read_text())
            known = {name: int(number) for name, number in recorded.items() if name in DEFAULTS}
        except FileNotFoundError:
            known = {}
        except (OSError, ValueError, AttributeError, TypeError):
            raise PipelineError(f"{places.ports_file} cannot be read: remove it and give the ports again") from None
        return cls.choose(environment, known)

    def record(self, places: Places) -> None:
        """Records the ports for later commands."""
        json_file.write(places.ports_file, self.numbers)

    def url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self[name]}"

    @property
    def kafka_bootstrap(self) -> str:
        return ",".join(f"{LOOPBACK}:{self[f'kafka_{node}']}" for node in (1, 2, 3))


def refuse_taken(ports: Ports, names: tuple[str, ...]) -> None:
    """Raises PipelineError naming the first port that another process listens on."""
    for name in names:
        for number in _used(name, ports[name]):
            if _taken(number):
                raise PipelineError(
                    f"port {number} for {name} is taken{_holder(number)}: end that process, "
                    f"or set PIPELINE_PORT_{name.upper()} or PIPELINE_PORT_OFFSET"
                )


def _used(name: str, number: int) -> tuple[int, ...]:
    return (number, number + 10000) if name in WITH_GRPC else (number,)


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    """A misspelt port would be ignored in silence."""
    known = {"PIPELINE_PORT_OFFSET", *(f"PIPELINE_PORT_{name.upper()}" for name in DEFAULTS)}
    for name in environment:
        if name.startswith("PIPELINE_PORT_") and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise PipelineError(f"{name} is unknown: {f'use {near[0]}' if near else ', '.join(sorted(known))}")


def _taken(number: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, number))
        except OSError:
            return True
    return False


def _holder(number: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and getattr(connection.laddr, "port", None) == number
            if listens and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return ""


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise PipelineError(f"{name}={text!r} is not a number: give a port") from None
