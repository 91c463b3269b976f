"""The structural level on a real (local) lake: green when whole, red with table, hour and keys when not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from upbit_lake.hours.hour import Hour
from upbit_lake.hours.layout import newest_snapshots
from upbit_lake.state.verdicts import Status
from upbit_lake.verify.evidence import Evidence, evidence_of, evidence_queries
from upbit_lake.verify.structural import judge

NINE = Hour("2026-11-23", "09")
NINE_MS = NINE.start_ms
TARGET = 128 << 20

TRADES = [
    ("2026-11-23", "09", "KRW-BTC", 11, NINE_MS + 1_000, "100.00000001", "0.00000001", 0, 0),
    # The same millisecond: the id decides what opens and what closes; it arrived first.
    ("2026-11-23", "09", "KRW-BTC", 13, NINE_MS + 2_000, "103460000.12345678", "0.5", 0, 1),
    ("2026-11-23", "09", "KRW-BTC", 12, NINE_MS + 2_000, "99", "3", 0, 2),
    ("2026-11-23", "09", "KRW-ETH", 11, NINE_MS + 3_599_999, "7.5", "2", 1, 0),
]


def evidence(lake: Any, contract: Any, table: str, hour: Hour = NINE) -> Evidence:
    queries = evidence_queries(contract, table, hour, newest_snapshots(lake.reader, contract))
    answers = dict(zip(queries, lake.reader.query_all(list(queries.values())), strict=True))
    return evidence_of(answers, contract.source_table(table))


def compacted(found: Evidence) -> Evidence:
    """As if a full compaction had run: the Rust library writes level 0 and cannot compact."""
    merged = [{**bucket, "lowest_level": 5, "files": 1} for bucket in found.buckets]
    return replace(found, buckets=merged, source_changed=False)


@pytest.fixture
def filled(lake: Any) -> Any:
    lake.trades(TRADES)
    lake.exact_candles("2026-11-23", "09")
    return lake


@pytest.mark.parametrize("table", ["trade", "candle_1m"])
def test_an_intact_hour_is_green(filled: Any, contract: Any, table: str) -> None:
    verdict = judge(table, NINE, compacted(evidence(filled, contract, table)), TARGET)
    assert verdict.status is Status.GREEN, verdict.reason
    assert verdict.details["rows"] == (4 if table == "trade" else 2)


def test_an_hour_in_which_the_source_began_is_partial(filled: Any, contract: Any) -> None:
    verdict = judge("trade", NINE, compacted(evidence(filled, contract, "trade")), TARGET, partial=True)
    assert verdict.status is Status.PARTIAL


def test_files_written_since_the_compaction_make_the_hour_late(filled: Any, contract: Any) -> None:
    verdict = judge("trade", NINE, evidence(filled, contract, "trade"), TARGET)
    assert verdict.status is Status.LATE
    assert "trade 2026-11-23T09" in verdict.reason


def test_a_row_in_a_foreign_hour_is_named(filled: Any, contract: Any) -> None:
    filled.trades([("2026-11-23", "09", "KRW-XRP", 77, NINE_MS - 1, "1", "1", 2, 0)])
    verdict = judge("trade", NINE, compacted(evidence(filled, contract, "trade")), TARGET)
    assert verdict.status is Status.RED
    assert "trade 2026-11-23T09: 1 keys with a time of another hour: KRW-XRP 77" in verdict.reason


def test_a_key_in_two_hours_is_named_from_both(filled: Any, contract: Any) -> None:
    # The same trade with another time: each hour by itself looks right.
    filled.trades([("2026-11-23", "12", "KRW-BTC", 13, NINE_MS + 3 * 3_600_000, "1", "1", 2, 0)])
    for hour, other in ((NINE, "T12"), (NINE.shifted(3), "T09")):
        verdict = judge("trade", hour, compacted(evidence(filled, contract, "trade", hour)), TARGET)
        assert verdict.status is Status.RED
        assert f"stand in another hour too: KRW-BTC 13 2026-11-23{other}" in verdict.reason


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("opening_price", "100.00000002"),
        ("high_price", "103460000.12345679"),
        ("low_price", "98"),
        ("closing_price", "99"),
        ("acc_trade_volume", "3.50000002"),
        ("acc_trade_price", "51730297.0617293900000002"),
        ("trade_count", "4"),
    ],
)
def test_a_candle_that_differs_in_the_last_digit_is_named(filled: Any, contract: Any, column: str, value: str) -> None:
    names = [row["column_name"] for row in filled.sql("DESCRIBE upbit.candle_1m")]
    chosen = ", ".join(f"{value} AS {name}" if name == column else name for name in names)
    changed = ", ".join(
        "2 AS revision" if name == "revision" else part for name, part in zip(names, chosen.split(", "), strict=True)
    )
    filled.sql(f"INSERT INTO upbit.candle_1m SELECT {changed} FROM upbit.candle_1m WHERE code = 'KRW-BTC'")
    verdict = judge("candle_1m", NINE, compacted(evidence(filled, contract, "candle_1m")), TARGET)
    assert verdict.status is Status.RED
    assert f"1 rows that differ from trade: KRW-BTC 2026-11-23T09:00 {column}" in verdict.reason


def test_a_missing_candle_is_named(lake: Any, contract: Any) -> None:
    lake.trades(TRADES[:3])
    lake.exact_candles("2026-11-23", "09")
    lake.trades(TRADES[3:])
    found = compacted(evidence(lake, contract, "candle_1m"))
    assert "KRW-ETH 2026-11-23T09:59 no candle" in judge("candle_1m", NINE, found, TARGET).reason


def test_candles_wait_for_the_next_closing_when_trades_came_late(filled: Any, contract: Any) -> None:
    filled.trades([("2026-11-23", "09", "KRW-BTC", 20, NINE_MS + 5, "1", "1", 2, 0)])
    found = evidence(filled, contract, "candle_1m")
    assert found.differing
    assert judge("candle_1m", NINE, found, TARGET).status is Status.LATE


def test_an_empty_hour_is_red(filled: Any, contract: Any) -> None:
    verdict = judge("trade", NINE, evidence(filled, contract, "trade", NINE.shifted(1)), TARGET)
    assert verdict.status is Status.RED
    assert "no row" in verdict.reason


def test_replaced_rows_that_survive_the_compaction_are_red() -> None:
    buckets = [{"bucket": 0, "files": 1, "bytes": 10, "physical_rows": 5, "lowest_level": 5}]
    verdict = judge("trade", NINE, Evidence(4, {"code": 0}, buckets), TARGET)
    assert "5 physical rows but 4 logical rows" in verdict.reason


def test_a_null_in_a_required_column_is_red() -> None:
    buckets = [{"bucket": 0, "files": 1, "bytes": 10, "physical_rows": 4, "lowest_level": 5}]
    assert "ask_bid is NULL in 3 rows" in judge("trade", NINE, Evidence(4, {"ask_bid": 3}, buckets), TARGET).reason
