"""The exchange's settings are options of the command line, or given by environment (`--codes` = EXCHANGE_CODES)."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from upbit_exchange.market.tape import TRADE_PRICES


class Settings(msgspec.Struct, frozen=True):
    """The validated settings. `start_ms` in ms since the epoch (None = real time), `idle_timeout` in seconds."""

    host: str
    port: int
    admin_port: int | None
    ledger: Path
    ledger_keep_gb: float
    codes: int
    rate: float
    seed: int
    start_ms: int | None
    speed: float
    replay: Path | None
    idle_timeout: float
    client_buffer_mb: float
    trade_prices: str
    rest_lag: float
    rate_limit: bool
    scenario: Path | None
    check: bool


class SettingsError(Exception):
    """A setting that cannot be used; the text names it and the cure."""


def _number(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], Any]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
        return value

    return parse


_port = _number(int, 0, 65535)


def _optional_port(text: str) -> int | None:
    return _port(text) if text else None


def _moment(text: str) -> int | None:
    if not text:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO time such as 2026-07-30T06:00:00Z") from None
    parsed = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
    return int(parsed.timestamp() * 1000)


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _optional_path(text: str) -> Path | None:
    return Path(text) if text else None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message} (see --help)")


def load(arguments: Sequence[str], environment: Mapping[str, str], now_ms: int) -> Settings:
    """Returns the settings from both places, the command line first. SettingsError names one that cannot be used."""
    parser = _Parser(
        prog="upbit_exchange",
        description="A local Upbit: WebSocket and REST on one port.",
        epilog="Every option can also be given by environment: --ledger-keep-gb 5 is EXCHANGE_LEDGER_KEEP_GB=5.",
    )

    def option(name: str, default: str, kind: Callable[[str], Any], text: str) -> None:
        value = environment.get("EXCHANGE_" + name.replace("-", "_").upper()) or default
        parser.add_argument(f"--{name}", default=value, type=kind, help=text)

    option("host", "127.0.0.1", str, "address to listen on")
    option("port", "18070", _port, "port of WebSocket and REST (0 = any free one)")
    option("admin-port", "", _optional_port, "port where faults are switched (0 = any free one; default none)")
    option("ledger", "", _optional_path, "directory of the ledger of all published events (required)")
    option("ledger-keep-gb", "0", _number(float, 0, 1e6), "GiB of ledger kept, oldest segments go first (0 = all)")
    option("codes", "250", _number(int, 1, 2000), "number of KRW markets")
    option("rate", "300", _number(float, 0.001, 100_000), "events a second of exchange time, all codes and streams")
    option("seed", "1", _number(int, 0, 1 << 62), "seed of the market")
    option("start", "", _moment, "where the exchange's clock starts, ISO 8601 (default now; replay: first frame)")
    option("speed", "1", _number(float, 0.001, 100_000), "seconds of exchange time a second, until it is real time")
    option("replay", "", _optional_path, "publish this recording (one JSON frame a line) instead of a market")
    option("idle-timeout", "60", _number(float, 0.1, 1e9), "seconds of silence after which a socket is dropped")
    option("client-buffer-mb", "64", _number(float, 0.1, 4096), "MiB waiting for a client that does not read: dropped")
    option("trade-prices", "plain", str, f"spelling of WebSocket trade prices: {', '.join(TRADE_PRICES)}")
    option("scenario", "", _optional_path, "file that says when which fault goes on, one JSON object a line")
    option("rest-lag", "3", _number(float, 0, 60), "seconds that REST trades come late at most (a recording's: 0)")
    option("rate-limit", "true", _switch, "refuse too many REST requests, connects and messages: true or false")
    parser.add_argument("--no-rate-limit", dest="rate_limit", action="store_false", help="same as --rate-limit false")
    parser.add_argument("--check", action="store_true", help="check the recording given by --replay and exit")
    # A default set by `store_false` would win over the environment's.
    parser.set_defaults(rate_limit=environment.get("EXCHANGE_RATE_LIMIT") or "true")
    try:
        given = vars(parser.parse_args(arguments))
    except argparse.ArgumentTypeError as error:
        raise SettingsError(str(error)) from None
    return _validated(given, now_ms)


def _validated(given: dict[str, Any], now_ms: int) -> Settings:
    if given["trade_prices"] not in TRADE_PRICES:
        raise SettingsError(f"--trade-prices {given['trade_prices']} is none of {', '.join(TRADE_PRICES)}")
    if given["check"] and given["replay"] is None:
        raise SettingsError("--check needs --replay FILE")
    if given["ledger"] is None and not given["check"]:
        raise SettingsError("--ledger DIR is missing: the exchange keeps a ledger of all it publishes")
    start = given.pop("start")
    if start is not None and start > now_ms:
        raise SettingsError("--start lies in the future; give a time that has passed")
    given["ledger"] = given["ledger"] or Path()
    return Settings(**given, start_ms=start)
