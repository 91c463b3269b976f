"""Alive, ready and metric names."""

from prometheus_client import CollectorRegistry, generate_latest

from upbit_ingester.health import liveness
from upbit_ingester.health.liveness import Pulse
from upbit_ingester.health.metrics import Collector, Metrics, SpoolGauges


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
