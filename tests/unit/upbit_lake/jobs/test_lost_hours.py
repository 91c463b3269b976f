"""Which hours cannot be refilled after a topic or a table was recreated, and how they are named."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from upbit_lake.contract.reader import load_contract
from upbit_lake.engines.kafka.records import KafkaRecord
from upbit_lake.jobs import lost_hours

NINE = int(datetime(2026, 11, 23, 9, 30, tzinfo=UTC).timestamp() * 1000)
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("newest", "oldest", "hours"),
    [
        (NINE, NINE + 2 * HOUR, [9, 10, 11]),
        (NINE, NINE + 1000, [9]),
        (NINE, NINE - 1, []),  # the topic reaches back into the lake: nothing is lost
        (NINE, None, [9]),
        (None, NINE, []),
    ],
)
def test_lost_hours(newest: int | None, oldest: int | None, hours: list[int]) -> None:
    assert [hour.hour for hour in lost_hours.lost_hours(newest, oldest)] == hours


def test_lost_hours_are_named() -> None:
    line = lost_hours.describe("trade", lost_hours.lost_hours(NINE, NINE + HOUR))
    assert line == "trade: these hours cannot be refilled from Kafka: 2026-11-23T09, 2026-11-23T10"
    assert lost_hours.describe("trade", ()) == "trade: nothing is missing"
    assert "… 99 more …" in lost_hours.describe("trade", lost_hours.lost_hours(NINE, NINE + 100 * HOUR))


def test_the_oldest_event_is_the_exchange_s_time() -> None:
    stream = load_contract().streams["orderbook"]
    records = [
        KafkaRecord("upbit-orderbook", 0, 0, 5_000, None, b'{"timestamp":1691530805062000}', {}),
        KafkaRecord("upbit-orderbook", 1, 0, 5_000_000_000_000, None, b"broken", {}),
    ]
    assert lost_hours.oldest_event_ms(records, stream) == 1_691_530_805_062
    assert lost_hours.oldest_event_ms([], stream) is None
