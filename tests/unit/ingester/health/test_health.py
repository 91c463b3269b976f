"""Alive, ready, gaps and metric names."""

from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from upbit_ingester.health import liveness
from upbit_ingester.health.liveness import Pulse
from upbit_ingester.health.metrics import Collector, Metrics, SpoolGauges
from upbit_ingester.spool.gap_log import Gap, Gaps, GapTracker
from upbit_ingester.spool.state import StreamMark


def test_alive_while_loop_and_pump_move() -> None:
    assert liveness.live(Pulse(0.1, 0.1, True)).ok
    assert not liveness.live(Pulse(16.0, 0.1, True)).ok
    assert not liveness.live(Pulse(0.1, 31.0, True)).ok
    dead = liveness.live(Pulse(0.1, 0.1, False))
    assert not dead.ok
    assert dead.checks["event_loop"].startswith("ok")


def test_ready_when_every_stream_brings_data_and_kafka_keeps_up() -> None:
    streams = ("ticker", "trade")
    both = {"ticker": 1, "trade": 1}
    assert liveness.ready(both, both, streams, 5.0, refused=False).ok
    assert not liveness.ready({"ticker": 1, "trade": 0}, both, streams, 5.0, refused=False).ok
    assert not liveness.ready(both, {"ticker": 1}, streams, 5.0, refused=False).ok
    assert not liveness.ready(both, both, streams, 61.0, refused=False).ok
    refused = liveness.ready(both, both, streams, 5.0, refused=True)
    assert not refused.ok
    assert refused.checks["kafka"] == "failed: login refused"


def recorded(folder: Path) -> list[Gap]:
    path = folder / "gaps.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Gap) for line in lines]


def test_a_gap_reaches_from_the_last_frame_to_the_first_live_one_after_it(tmp_path: Path) -> None:
    tracker = GapTracker("ticker", None, Gaps(tmp_path))
    assert not tracker.seen(100, 101, 3)
    tracker.lost(StreamMark(200, 205), "close_1006")
    tracker.lost(StreamMark(200, 205), "connect")
    assert tracker.seen(900, 905, 3)
    assert not tracker.seen(901, 906, 3)
    assert recorded(tmp_path) == [Gap("ticker", 3, "close_1006", 200, 900, 205, 905)]


def test_the_time_the_process_was_down_is_a_gap_but_not_at_the_very_first_start(tmp_path: Path) -> None:
    assert not GapTracker("ticker", None, Gaps(tmp_path)).seen(1, 2, 1)
    assert GapTracker("ticker", StreamMark(10, 11), Gaps(tmp_path)).seen(20, 21, 1)
    assert [gap.cause for gap in recorded(tmp_path)] == ["down"]


def test_an_open_gap_survives_the_process_with_its_cause_and_its_beginning(tmp_path: Path) -> None:
    GapTracker("ticker", None, Gaps(tmp_path)).lost(StreamMark(200, 205), "close_1006")
    found = Gaps(tmp_path).get("ticker")
    assert found is not None
    assert (found.cause, found.last_seen_ms, found.last_received_ms) == ("close_1006", 200, 205)
    again = GapTracker("ticker", StreamMark(200, 205), Gaps(tmp_path))
    assert again.is_open
    assert again.seen(900, 905, 3)
    assert recorded(tmp_path) == [Gap("ticker", 3, "close_1006", 200, 900, 205, 905)]
    assert Gaps(tmp_path).get("ticker") is None


def test_what_a_damaged_spool_lost_belongs_to_the_open_gap(tmp_path: Path) -> None:
    GapTracker("ticker", None, Gaps(tmp_path)).lost(StreamMark(200, 205), "silence")
    assert GapTracker("ticker", StreamMark(150, 205), Gaps(tmp_path)).seen(900, 905, 3)
    assert [gap.last_seen_ms for gap in recorded(tmp_path)] == [150]


def test_a_loss_that_cost_nothing_leaves_no_trace(tmp_path: Path) -> None:
    tracker = GapTracker("ticker", None, Gaps(tmp_path))
    tracker.lost(StreamMark(200, 205), "silence")
    tracker.dismiss()
    assert not tracker.seen(900, 905, 3)
    assert (recorded(tmp_path), Gaps(tmp_path).get("ticker")) == ([], None)


def test_the_report_names_open_and_closed_gaps_and_trades_that_are_fetched_again(tmp_path: Path) -> None:
    gaps = Gaps(tmp_path)
    assert gaps.report({}) == []
    closed = GapTracker("ticker", StreamMark(10, 11), gaps)
    closed.seen(20, 21, 3)
    GapTracker("orderbook", StreamMark(200, 205), gaps)
    assert gaps.report({"KRW-BTC": 150}) == [
        Gap("orderbook", 0, "down", 200, 0, 205, 0),
        Gap("trade", 1, "refetch", 150, 0, 0, 0, "KRW-BTC"),
        Gap("ticker", 3, "down", 10, 20, 11, 21),
    ]


def test_the_report_is_the_end_of_a_long_record_and_outlives_a_torn_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaps = Gaps(tmp_path)
    for number in range(1, 101):
        gaps.record(Gap("ticker", 3, "silence", number, number + 1, 1, 1))
    with (tmp_path / "gaps.jsonl").open("ab") as file:
        file.write(b'{"stream":"tick')
    monkeypatch.setattr("upbit_ingester.spool.gap_log.REPORTED_BYTES", 1000)
    reported = [gap.last_seen_ms for gap in gaps.report({})]
    assert 3 < len(reported) < 20
    assert reported == list(range(100 - len(reported) + 1, 101))


def test_a_broken_file_of_open_gaps_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "gaps_open.json").write_bytes(b'{"ticker":')
    assert GapTracker("ticker", StreamMark(10, 11), Gaps(tmp_path)).seen(20, 21, 1)
    assert [gap.cause for gap in recorded(tmp_path)] == ["down"]


def test_metrics_carry_their_values_by_name() -> None:
    metrics = Metrics()
    metrics.received["trade"] = 3
    metrics.reconnects["trade", "close_1000"] = 2
    metrics.unknown_fields["ticker", "venue"] = 4
    metrics.last_event_ms["trade"] = 1500
    metrics.last_received_s["trade"] = 10.0
    metrics.refetched_trades = 9
    registry = CollectorRegistry()
    registry.register(Collector(metrics, lambda: SpoolGauges(11, 12, 13.5, 14), lambda: 12.0))
    lines = generate_latest(registry).decode().splitlines()
    for line in (
        'upbit_ingester_received_total{stream="trade"} 3.0',
        'upbit_ingester_reconnects_total{cause="close_1000",stream="trade"} 2.0',
        'upbit_ingester_unknown_fields_total{field="venue",stream="ticker"} 4.0',
        'upbit_ingester_last_event_timestamp_seconds{stream="trade"} 1.5',
        'upbit_ingester_last_received_age_seconds{stream="trade"} 2.0',
        "upbit_ingester_refetched_trades_total 9.0",
        "upbit_ingester_spool_bytes 11.0",
        "upbit_ingester_spool_records 12.0",
        "upbit_ingester_spool_oldest_seconds 13.5",
        "upbit_ingester_in_flight 14.0",
    ):
        assert line in lines
