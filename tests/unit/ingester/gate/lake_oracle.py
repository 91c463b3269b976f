"""What the SQL behind Kafka needs of a frame, by another implementation than the gate: json, Decimal, sql/tables.

flink-json (2.0.2) nulls or rounds a number that its column cannot hold, takes a text that is not a boolean for false,
and drops a record that is not a JSON object, repeats a name, or holds a number of more than 1,000 characters (Jackson).
"""

import json
import re
from decimal import Context, Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

TABLES = Path(__file__).parents[4] / "sql" / "tables"
OURS = {"dt", "hh", "kafka_partition", "kafka_offset", "received_at", "source", "code"}
LONGEST_NUMBER = 1000
EARLIEST_MS, LATEST_MS = 1_262_304_000_000, 4_102_444_800_000  # 2010 to 2100
MICROSECONDS = 10**15

_COLUMN = re.compile(r"^  `?(\w+)`? (STRING|BIGINT|BOOLEAN|DECIMAL\((\d+), (\d+)\)|ARRAY<ROW<)(.*?)$", re.MULTILINE)
_LEVEL = re.compile(r"(\w+) DECIMAL\((\d+), (\d+)\)")
_EXACT = Context(prec=6000, Emax=999_999_999, Emin=-999_999_999)


class Number(str):
    """A number of a frame, as it is spelled."""


class Column(NamedTuple):
    """A column that the exchange fills."""

    name: str
    type: str
    precision: int
    scale: int
    required: bool


class UnfitError(ValueError):
    """Why a frame does not fit."""


@cache
def columns(stream: str) -> tuple[Column, ...]:
    """The columns of a stream's table; a book's levels are `levels()`."""
    text = (TABLES / f"{stream}.sql").read_text(encoding="utf-8")
    found = [
        Column(name, kind.partition("(")[0], int(precision or 0), int(scale or 0), "NOT NULL" in rest)
        for name, kind, precision, scale, rest in _COLUMN.findall(text)
    ]
    return tuple(column for column in found if column.name not in OURS and column.type != "ARRAY<ROW<")


@cache
def levels() -> tuple[Column, ...]:
    """The columns of one level of a book."""
    text = (TABLES / "orderbook.sql").read_text(encoding="utf-8")
    inside = text[text.index("ARRAY<ROW<") : text.index(">>")]
    return tuple(Column(name, "DECIMAL", int(p), int(s), True) for name, p, s in _LEVEL.findall(inside))


def complaint(stream: str, data: bytes) -> str | None:
    """Why the lake cannot take the frame whole, None when it can."""
    try:
        _judge(stream, _parsed(data))
    except UnfitError as error:
        return str(error)
    return None


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        frame = json.loads(
            data.decode("utf-8"),
            parse_int=_number,
            parse_float=_number,
            parse_constant=_no_number,
            object_pairs_hook=_unique,
        )
    except (ValueError, RecursionError) as error:
        raise UnfitError(f"no JSON: {error}") from None
    if not isinstance(frame, dict):
        raise UnfitError("no object")
    if rb"\ud" in data.lower() and re.search("[\ud800-\udfff]", json.dumps(frame, ensure_ascii=False)):
        raise UnfitError("half a surrogate pair: no UTF-8 can keep it")
    return frame


def _number(text: str) -> Number:
    if len(text) > LONGEST_NUMBER:
        raise UnfitError("a number too long for Jackson")
    return Number(text)


def _no_number(text: str) -> None:
    raise UnfitError(f"{text} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnfitError("a name twice")
    return found


def _judge(stream: str, frame: dict[str, Any]) -> None:
    if frame.get("type") != stream:
        raise UnfitError("another type")
    _check_code(frame)
    for column in columns(stream):
        value = frame.get(column.name)
        _check(column, value)
        if column.name.endswith("timestamp") and value is not None:
            _check_time(stream, int(value))
    if stream == "trade":
        _check_trade(frame)
    if stream == "orderbook":
        _check_levels(frame.get("orderbook_units"))


def _check_code(frame: dict[str, Any]) -> None:
    for name in ("code", "market", "stream_type"):
        if isinstance(frame.get(name), (Number, bool, dict, list)):
            raise UnfitError(f"{name} is not a text")
    code = frame.get("market") if frame.get("code") is None else frame["code"]
    if code is None or not re.fullmatch("[0-9A-Z]{1,20}-[0-9A-Z._]{1,40}", code):
        raise UnfitError("no code of a market")


def _check_trade(frame: dict[str, Any]) -> None:
    if frame["ask_bid"] not in ("ASK", "BID"):
        raise UnfitError("ask_bid is neither side")
    if int(frame["sequential_id"]) <= 0:
        raise UnfitError("sequential_id is not positive")


def _check(column: Column, value: Any) -> None:
    if value is None:
        if column.required:
            raise UnfitError(f"{column.name} is missing")
        return
    if column.type == "BOOLEAN" and not isinstance(value, bool):
        raise UnfitError(f"{column.name} is not a boolean")
    if column.type in ("DECIMAL", "BIGINT") and not isinstance(value, Number):
        raise UnfitError(f"{column.name} is not a number")
    if column.type == "DECIMAL" and not fits(value, column.precision, column.scale):
        raise UnfitError(f"{column.name} loses digits")
    if column.type == "BIGINT" and not (re.fullmatch(r"-?\d+", value) and -(2**63) <= int(value) < 2**63):
        raise UnfitError(f"{column.name} is not a BIGINT")


def fits(text: str, precision: int, scale: int) -> bool:
    """Does DECIMAL(precision, scale) hold the number exactly?"""
    try:
        scaled = _EXACT.scaleb(Decimal(text), scale)
    except InvalidOperation:
        return False
    return bool(scaled == scaled.to_integral_value() and scaled.copy_abs() < Decimal(10) ** precision)


def _check_levels(units: Any) -> None:
    if not isinstance(units, list):
        raise UnfitError("orderbook_units is no array")
    for unit in units:
        if not isinstance(unit, dict):
            raise UnfitError("a level is no object")
        for column in levels():
            _check(column, unit.get(column.name))


def _check_time(stream: str, value: int) -> None:
    in_ms = value // 1000 if stream == "orderbook" and value > MICROSECONDS else value
    if not EARLIEST_MS <= in_ms < LATEST_MS:
        raise UnfitError("a time outside 2010 to 2100")
