"""What a Kafka record should have become in the lake. Decisions only, mirroring the WHERE clauses in `sql/jobs/`.

Used for the few records whose offset the lake does not hold: a SNAPSHOT that is not stored, a duplicate that another
record replaced, a record that the JSON format dropped, or a loss.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from upbit_lake.contract.columns import Column, TableColumns
from upbit_lake.contract.model import Stream
from upbit_lake.engines.kafka.records import KafkaRecord
from upbit_lake.hours.hour import Hour, event_ms

LAST_MS = 253_402_300_799_999  # year 9999
# Columns that the job adds; all others come from the record itself.
ADDED = frozenset({"dt", "hh", "kafka_partition", "kafka_offset"})


@dataclass(frozen=True)
class NotStored:
    """The record is left out on purpose (a SNAPSHOT)."""


@dataclass(frozen=True)
class Bad:
    """The record cannot be stored; `reason` is one line for its dead letter."""

    reason: str


@dataclass(frozen=True)
class Stored:
    """The record belongs into `hour` under `key`, values in the order of the table's identity."""

    hour: Hour
    key: tuple[Any, ...]


Expected = NotStored | Bad | Stored


class _UnfitError(ValueError):
    """A field does not fit its column."""


def expected_row(record: KafkaRecord, stream: Stream, columns: TableColumns, snapshot_max_age_s: int) -> Expected:
    """What should have become of a stream's record."""
    try:
        frame = _frame(record.value)
        snapshot = frame.get("stream_type") == "SNAPSHOT"
        if snapshot and stream.snapshots == "never":
            return NotStored()
        values = {c.name: _value(frame, c) for c in columns.columns if c.required and c.name not in ADDED}
        moment = _moment(values[stream.time])
    except _UnfitError as error:
        return Bad(str(error))
    if snapshot and record.received_ms > moment + snapshot_max_age_s * 1000:
        return NotStored()
    if stream.time in columns.identity:
        values[stream.time] = moment
    return Stored(Hour.of_ms(moment), tuple(values[name] for name in columns.identity))


def dead_letter_place(record: KafkaRecord, own_topic: str) -> Stored:
    """Where a record of the dead-letter topic stands in the lake: at its origin's place, else at its own."""
    origin = record.headers
    try:
        place = (
            origin["origin_topic"].decode(),
            int(origin["origin_partition"]),
            int(origin["origin_offset"]),
        )
    except (KeyError, ValueError):
        place = (own_topic, record.partition, record.offset)
    stamp = origin.get("origin_timestamp", b"")
    moment = int(stamp) if stamp.isdigit() else record.timestamp_ms
    return Stored(Hour.of(datetime.fromtimestamp(moment / 1000, UTC)), place)


def key_text(stored: Stored) -> str:
    """The key as a verdict names it."""
    return " ".join(format(value, "f") if isinstance(value, Decimal) else str(value) for value in stored.key)


def _frame(value: bytes | None) -> dict[str, Any]:
    try:
        frame = json.loads((value or b"").decode("utf-8"), parse_float=Decimal, parse_constant=_refuse)
    except UnicodeDecodeError:
        raise _UnfitError("not valid UTF-8") from None
    except (ValueError, RecursionError):
        raise _UnfitError("not valid JSON") from None
    if not isinstance(frame, dict):
        raise _UnfitError("not a JSON object")
    return frame


def _refuse(name: str) -> None:
    raise ValueError(name)


def _value(frame: Mapping[str, Any], column: Column) -> Any:
    value = frame.get(column.name)
    if column.name == "code" and value is None:
        value = frame.get("market")
    if value is None:
        raise _UnfitError(f"{column.name} is missing or null")
    if column.type.startswith("DECIMAL"):
        return _decimal(column, value)
    if column.type in ("BIGINT", "INT"):
        return _integer(column, value)
    if column.type.startswith("ARRAY") and not isinstance(value, list):
        raise _UnfitError(f"{column.name} is not a list")
    return value if isinstance(value, (str, list)) else json.dumps(value)


def _decimal(column: Column, value: Any) -> Decimal:
    """Rounded to the column's scale as the JSON format rounds."""
    precision, scale = (int(part) for part in column.type.removeprefix("DECIMAL(").rstrip(")").split(","))
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
        rounded = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP) if number.is_finite() else None
    except InvalidOperation:
        rounded = None
    if rounded is None or len(rounded.as_tuple().digits) > precision:
        raise _UnfitError(f"{column.name}={str(value)[:40]!r} does not fit {column.type}")
    return rounded


def _integer(column: Column, value: Any) -> int:
    try:
        number = int(Decimal(str(value))) if not isinstance(value, bool) else None
    except (InvalidOperation, ValueError, OverflowError):
        number = None
    if number is None or not -(1 << 63) <= number < 1 << 63:
        raise _UnfitError(f"{column.name}={str(value)[:40]!r} does not fit {column.type}")
    return number


def _moment(value: int) -> int:
    moment = event_ms(value)
    if not 0 <= moment <= LAST_MS:
        raise _UnfitError(f"time {value} is not a time of the exchange")
    return moment
