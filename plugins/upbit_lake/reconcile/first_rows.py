"""Are there rows in the lake for every stream whose topic has data? Asked of the store, no Flink slot needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from upbit_lake.engines.clock import wait_until
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.lake.files import latest_snapshot

POLL_S = 1.0
# Of each partition: a connect brings one SNAPSHOT a code, of which there are hundreds.
PEEK_RECORDS = 500


class NoRowsError(RuntimeError):
    """A stream has data in Kafka and no row in the lake within the bound. One line names the streams."""


@dataclass(frozen=True)
class Arrival:
    """What one look saw: records and rows by stream, and the streams whose records should be rows and are not."""

    records: Mapping[str, int]
    rows: Mapping[str, int]
    waiting: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """True when something is in the lake and no stream is waited for."""
        return not self.waiting and any(self.rows.values())


def wait_for_rows(engines: Engines, timeout_s: float) -> dict[str, str]:
    """Wait until each stream with data has rows; gives stream → what was found.

    Raises:
        NoRowsError: a topic has records and its table none within `timeout_s` (seconds).
    """
    seen = wait_until(lambda: look(engines), lambda seen: seen.complete, timeout_s, POLL_S, engines.clock)
    if seen.waiting:
        raise NoRowsError(
            f"{', '.join(seen.waiting)}: records in Kafka, but no row in the lake after {timeout_s:.0f} s; "
            "see the job's exceptions in Flink's UI"
        )
    return {name: describe(count, seen.rows[name]) for name, count in seen.records.items()}


def look(engines: Engines) -> Arrival:
    """Count the records and rows of every stream, once."""
    records, rows = records_by_stream(engines), rows_by_stream(engines)
    waiting = [name for name in streams_without_rows(records, rows) if has_realtime(engines, name)]
    return Arrival(records, rows, tuple(waiting))


def has_realtime(engines: Engines, stream: str) -> bool:
    """Is there a frame among a stream's newest records that the lake must store? SNAPSHOTs alone may not be."""
    topic = engines.contract.streams[stream].topic
    with engines.records() as reader:
        return any(is_realtime(record.value or b"") for record in reader.newest(topic, PEEK_RECORDS))


def is_realtime(value: bytes) -> bool:
    """True for a frame that says REALTIME, and for one that says nothing."""
    try:
        return bool(json.loads(value).get("stream_type", "REALTIME") == "REALTIME")
    except (ValueError, AttributeError):
        return False


def streams_without_rows(records: Mapping[str, int], rows: Mapping[str, int]) -> list[str]:
    """The streams with records in Kafka and without rows in the lake."""
    return [name for name, count in records.items() if count and not rows.get(name)]


def describe(records: int, rows: int) -> str:
    """What a stream has, in words."""
    return f"{rows} rows in the lake, {records} records in Kafka" if records or rows else "no data yet"


def records_by_stream(engines: Engines) -> dict[str, int]:
    """Stream → records that its topic retains."""
    with engines.records() as reader:
        return {
            name: sum(item.high - item.low for item in reader.ranges(stream.topic).values())
            for name, stream in engines.contract.streams.items()
        }


def rows_by_stream(engines: Engines) -> dict[str, int]:
    """Stream → physical rows of its table's newest snapshot."""
    found = {}
    for name, stream in engines.contract.streams.items():
        snapshot = latest_snapshot(engines.s3, engines.contract.lake, stream.table)
        found[name] = snapshot.records if snapshot else 0
    return found
