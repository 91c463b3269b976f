"""The coverage level: windows, expected rows of records, gaps, verdicts; offsets on a real (local) lake."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.twins.engines import twin_engines
from tests.twins.kafka import KafkaTwin
from upbit_lake.contract.columns import table_columns
from upbit_lake.engines.kafka.dead_letters import dead_letter_headers
from upbit_lake.engines.kafka.offsets import PartitionOffsets, TopicOffsets, source_ended
from upbit_lake.engines.kafka.records import KafkaRecord, Range
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.partitions import PartitionState
from upbit_lake.hours.progress import LakeState
from upbit_lake.state.audits import Gap, GapKind, Window
from upbit_lake.state.verdicts import Status
from upbit_lake.verify import audit
from upbit_lake.verify.coverage import (
    disjoint,
    is_recreated,
    judge_coverage,
    merge_gaps,
    next_ranges,
    pending_offsets,
    split_expired,
)
from upbit_lake.verify.expected import Bad, NotStored, Stored, dead_letter_place, expected_row
from upbit_lake.verify.lake_keys import LakeKeys
from upbit_lake.verify.lake_offsets import LakeOffsets

NINE = Hour("2026-11-23", "09")
TRADE: dict[str, Any] = {
    "type": "trade", "code": "KRW-BTC", "sequential_id": 17, "trade_timestamp": NINE.start_ms + 5, "trade_price": 1.5,
    "trade_volume": 1e-8, "ask_bid": "BID", "stream_type": "REALTIME", "timestamp": NINE.start_ms + 6,
}  # fmt: skip


def record(value: Any, recv_ms: int | None = None, **headers: bytes) -> KafkaRecord:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    extra = {} if recv_ms is None else {"recv_ns": str(recv_ms * 1_000_000).encode()}
    return KafkaRecord("upbit-trade", 1, 42, NINE.start_ms + 9, b"KRW-BTC", raw, {**extra, **headers})


def expected_of(contract: Any, value: Any, stream: str = "trade", recv_ms: int | None = None) -> Any:
    chosen = contract.streams[stream]
    return expected_row(record(value, recv_ms), chosen, table_columns(contract, chosen.table), 3600)


def test_a_good_trade_belongs_to_its_hour_and_key(contract: Any) -> None:
    assert expected_of(contract, TRADE) == Stored(NINE, ("KRW-BTC", 17))


def test_market_stands_for_code(contract: Any) -> None:
    frame = {"market": "KRW-ETH", **{k: v for k, v in TRADE.items() if k != "code"}}
    assert expected_of(contract, frame) == Stored(NINE, ("KRW-ETH", 17))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"broken', "not valid JSON"),
        (b"\xff\xfe", "not valid UTF-8"),
        (b"", "not valid JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"trade_price": NaN}', "not valid JSON"),
        ({**TRADE, "trade_price": None}, "trade_price is missing or null"),
        ({**TRADE, "trade_price": "abc"}, "trade_price='abc' does not fit DECIMAL(17, 8)"),
        ({**TRADE, "trade_price": 12345678901}, "trade_price='12345678901' does not fit DECIMAL(17, 8)"),
        ({**TRADE, "sequential_id": 1 << 63}, "sequential_id='9223372036854775808' does not fit BIGINT"),
        ({k: v for k, v in TRADE.items() if k != "code"}, "code is missing or null"),
    ],
)
def test_a_record_that_cannot_be_stored_has_a_reason(contract: Any, value: Any, reason: str) -> None:
    assert expected_of(contract, value) == Bad(reason)


def test_a_trade_snapshot_is_never_stored(contract: Any) -> None:
    assert expected_of(contract, {**TRADE, "stream_type": "SNAPSHOT"}) == NotStored()


@pytest.mark.parametrize(("age_s", "stored"), [(3600, True), (3601, False)])
def test_a_book_snapshot_is_stored_while_it_is_young(contract: Any, age_s: int, stored: bool) -> None:
    book = {"code": "KRW-BTC", "timestamp": NINE.start_ms, "orderbook_units": [], "stream_type": "SNAPSHOT"}
    found = expected_of(contract, book, "orderbook", recv_ms=NINE.start_ms + age_s * 1000)
    assert isinstance(found, Stored) is stored


def test_a_book_in_microseconds_belongs_to_its_millisecond(contract: Any) -> None:
    book = {"code": "KRW-BTC", "timestamp": NINE.start_ms * 1000 + 7, "orderbook_units": []}
    assert expected_of(contract, book, "orderbook") == Stored(NINE, ("KRW-BTC", NINE.start_ms))


def test_a_dead_letter_keeps_where_it_stood() -> None:
    headers = dict(dead_letter_headers(record(b"x", source=b"ws"), "no\n JSON"))
    assert headers["reason"] == b"no JSON"
    letter = KafkaRecord("upbit-dead-letter", 0, 3, 99, b"k", b"x", headers)
    assert dead_letter_place(letter, "upbit-dead-letter") == Stored(NINE, ("upbit-trade", 1, 42))
    own = dead_letter_place(KafkaRecord("upbit-dead-letter", 0, 3, NINE.end_ms, b"k", b"x", {}), "upbit-dead-letter")
    assert own == Stored(NINE.shifted(1), ("upbit-dead-letter", 0, 3))


def topic(*partitions: tuple[int, int, int | None], topic_id: str = "A", newest: int | None = 0) -> TopicOffsets:
    found = {number: PartitionOffsets(*p, newest) for number, p in enumerate(partitions)}
    return TopicOffsets("upbit-trade", topic_id, found)


def window(topic_id: str, partition: int, start: int, end: int) -> Window:
    return Window("upbit-trade", topic_id, partition, start, end, 0)


def test_windows_follow_each_other_up_to_what_the_job_committed() -> None:
    windows = [window("A", 0, 0, 10), window("A", 0, 10, 20), window("old", 1, 0, 99)]
    found = next_ranges(topic((0, 50, 30), (0, 50, 7), (0, 5, None)), windows)
    assert found == [Range(0, 20, 30), Range(1, 0, 7)]
    assert is_recreated(windows, "A")


def test_a_window_is_bounded() -> None:
    assert next_ranges(topic((0, 100, 100)), [], limit=40) == [Range(0, 0, 40)]


def test_what_kafka_deleted_is_kept_apart_from_what_can_be_read() -> None:
    assert split_expired(Range(0, 5, 10), 7) == (Range(0, 5, 7), Range(0, 7, 10))
    assert split_expired(Range(0, 5, 10), 0) == (None, Range(0, 5, 10))
    assert split_expired(Range(0, 5, 10), 99) == (Range(0, 5, 10), None)


def test_offsets_are_read_once() -> None:
    assert disjoint([Range(0, 5, 9), Range(1, 0, 1), Range(0, 1, 6)]) == [Range(0, 1, 9), Range(1, 0, 1)]


@pytest.mark.parametrize(
    ("partitions", "now_ms", "ended"),
    [
        ([(0, 5, 5), (0, 5, 5)], 600_000, True),
        ([(0, 5, 5), (0, 5, 5)], 599_999, False),
        ([(0, 5, 5), (0, 5, 4)], 900_000, False),
    ],
)
def test_a_source_has_ended_when_all_is_consumed_and_silent(partitions: Any, now_ms: int, ended: bool) -> None:
    assert source_ended([topic(*partitions)], now_ms, 600) is ended


def test_an_empty_source_has_not_ended() -> None:
    assert not source_ended([topic((0, 0, None), newest=None)], 10**12, 600)


def gap(start: int, end: int, kind: GapKind, hour: Hour = NINE, key: str = "", last: Hour | None = None) -> Gap:
    return Gap("upbit-trade", "A", 0, start, end, kind, hour, last or hour, key)


def test_a_loss_is_red_in_its_own_hour_only() -> None:
    gaps = merge_gaps([gap(n, n + 1, GapKind.LOSS, key=f"KRW-BTC {n}") for n in range(7)])
    assert len(gaps) == 1
    verdict = judge_coverage("trade", NINE, gaps, {})
    assert verdict.status is Status.RED
    assert "trade 2026-11-23T09: 7 records are missing in the lake: KRW-BTC 0, KRW-BTC 1" in verdict.reason
    assert verdict.reason.endswith("KRW-BTC 4 and 2 more (upbit-trade[0] offset 0..6)")
    assert judge_coverage("trade", NINE.shifted(1), gaps, {}).status is Status.GREEN


def test_a_loss_that_may_be_a_commit_under_way_is_late_first() -> None:
    gaps = [gap(9, 10, GapKind.LOSS, key="KRW-BTC 9")]
    assert judge_coverage("trade", NINE, gaps, {}, fresh=gaps).status is Status.LATE
    assert judge_coverage("trade", NINE, gaps, {}).status is Status.RED


def test_a_bad_record_is_late_first_and_red_when_it_does_not_arrive() -> None:
    gaps = [gap(5, 6, GapKind.BAD)]
    assert judge_coverage("trade", NINE, gaps, {}, fresh=gaps).status is Status.LATE
    assert judge_coverage("trade", NINE, gaps, {}).status is Status.RED


def test_deleted_records_are_named_for_every_hour_they_may_belong_to() -> None:
    gaps = [gap(0, 9, GapKind.LOG_EXPIRED, last=NINE.shifted(2))]
    assert judge_coverage("trade", NINE.shifted(1), gaps, {}).status is Status.LOG_EXPIRED
    assert "retention" in judge_coverage("trade", NINE.shifted(2), gaps, {}).reason


def test_an_hour_whose_offsets_are_not_audited_yet_is_late() -> None:
    pending = pending_offsets({0: 10, 1: 4}, {0: 7, 1: 4})
    assert pending == {0: 3}
    assert judge_coverage("trade", NINE, [], pending).status is Status.LATE
    assert judge_coverage("trade", NINE, [], {}, partial=True).status is Status.PARTIAL


def trade(sid: int, partition: int, offset: int, hh: str = "09", ms: int = NINE.start_ms) -> tuple[Any, ...]:
    return ("2026-11-23", hh, "KRW-BTC", sid, ms + sid, "1", "1", partition, offset)


def test_missing_offsets_are_found_in_the_lake(lake: Any, contract: Any) -> None:
    # Offset 3 was replaced by 6 (same key); 1 and 4 never came; partition 1 has other offsets.
    lake.trades([trade(10, 0, 0), trade(12, 0, 2), trade(13, 0, 3), trade(15, 0, 5), trade(21, 1, 1)])
    lake.trades([trade(13, 0, 6)])
    offsets = LakeOffsets(contract, "trade", lake.reader)
    found = offsets.missing(topic((0, 9, 9), (0, 9, 9)), 0, [NINE], [Range(0, 0, 8), Range(1, 1, 2)])
    assert found == [Range(0, 1, 2), Range(0, 3, 5), Range(0, 7, 8)]


def test_only_a_loss_below_what_the_lake_holds_is_one_at_once(lake: Any, contract: Any) -> None:
    # Offset 1 is missing below 2, offset 3 above everything that was committed.
    lake.trades([trade(10, 0, 0), trade(12, 0, 2)])
    kafka = KafkaTwin()
    kafka.create_topic(replace(contract.topics["upbit-trade"], partitions=1))
    for number in range(4):
        kafka.write("upbit-trade", json.dumps({**TRADE, "sequential_id": 10 + number}).encode(), key=b"KRW-BTC")

    auditor = audit.Auditor(replace(twin_engines(contract, kafka), lake=lake.reader), "trade")
    states = {"trade": [PartitionState("trade", NINE, 2, 1, 1, datetime.now(UTC))]}
    state = LakeState(states, {}, {"upbit-trade": topic((0, 4, 4))}, None, datetime.now(UTC), 120)

    first = auditor.audit(state, [])
    assert [(item.start, item.end) for item in first.gaps] == [(1, 2), (3, 4)]
    assert [(item.start, item.end) for item in first.fresh] == [(3, 4)]
    # What an earlier run missed too has had its time.
    second = auditor.audit(state, [])
    assert [(item.start, item.end) for item in second.gaps] == [(1, 2), (3, 4)]
    assert second.fresh == []


def test_rows_of_an_older_topic_do_not_stand_for_a_recreated_one(lake: Any, contract: Any) -> None:
    lake.trades([trade(10, 0, 0), trade(5000, 0, 1)])
    offsets = LakeOffsets(contract, "trade", lake.reader)
    found = offsets.missing(topic((0, 9, 9)), NINE.start_ms + 1000, [NINE], [Range(0, 0, 2)])
    assert found == [Range(0, 0, 1)]


def test_an_hour_lies_between_its_neighbours_offsets(lake: Any, contract: Any) -> None:
    hour = 3_600_000
    lake.trades([trade(1, 0, 4, "08", NINE.start_ms - hour), trade(2, 0, 7), trade(3, 0, 9)])
    lake.trades([trade(4, 0, 11, "12", NINE.start_ms + 3 * hour)])
    offsets = LakeOffsets(contract, "trade", lake.reader)
    present = [NINE.shifted(-1), NINE, NINE.shifted(3)]
    found = offsets.bounds(topic((0, 50, 40), (0, 8, 8)), [NINE], present, 0)
    assert found == {NINE: {0: (7, 11), 1: (0, 8)}}
    assert offsets.hours_around(Range(0, 10, 11), 0) == (NINE, NINE.shifted(3))


def test_keys_are_looked_up_in_their_hour(lake: Any, contract: Any) -> None:
    lake.trades([trade(10, 0, 0)])
    there, elsewhere = Stored(NINE, ("KRW-BTC", 10)), Stored(NINE.shifted(1), ("KRW-BTC", 10))
    found = LakeKeys(contract, "trade", lake.reader).present([there, elsewhere, Stored(NINE, ("KRW-O'X", 10))])
    assert found == {there}


def test_decimal_keys_are_compared_exactly(lake: Any, contract: Any) -> None:
    lake.sql(
        'INSERT INTO upbit.ticker (dt, hh, code, "timestamp", acc_trade_volume, trade_price, kafka_partition, '
        f"kafka_offset) VALUES ('2026-11-23', '09', 'KRW-BTC', {NINE.start_ms}, "
        "CAST('1234567890123456.00000001' AS DECIMAL(24,8)), CAST(1 AS DECIMAL(17,8)), 0, 0)"
    )
    frame = f'{{"code": "KRW-BTC", "timestamp": {NINE.start_ms}, "trade_price": 1, "acc_trade_volume": %s}}'
    texts = ["1234567890123456.00000001", "1234567890123456.00000002"]
    expected = [expected_of(contract, (frame % text).encode(), "ticker") for text in texts]
    assert LakeKeys(contract, "ticker", lake.reader).present(expected) == {expected[0]}
