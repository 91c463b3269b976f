"""The ingester's counters, read from its `/metrics`."""

from __future__ import annotations

from upbit_lake.engines.ingester.counters import parse_counters


def test_frames_that_all_go_to_the_dead_letters_are_handled() -> None:
    text = "\n".join(
        [
            "# HELP upbit_ingester_received_total Frames",
            'upbit_ingester_received_total{stream="trade"} 12.0',
            'upbit_ingester_spooled_total{stream="trade"} 2.0',
            'upbit_ingester_dead_lettered_total{stream="trade"} 10.0',
            'upbit_ingester_reconnects_total{cause="reset",stream="trade"} 1.0',
            'upbit_ingester_last_received_age_seconds{stream="trade"} 0.5',
            'upbit_ingester_shed_total{stream="orderbook"} 3.0',
            'upbit_ingester_expired_total{stream="orderbook"} 4.0',
            'upbit_ingester_missing_snapshots{stream="ticker"} 2.0',
            "upbit_ingester_spool_records 7.0",
            "upbit_ingester_spool_oldest_seconds 1.5e+00",
        ]
    )
    found = parse_counters(text)
    assert found.received == {"trade": 12.0}
    assert found.handled == {"trade": 12.0, "orderbook": 3.0}
    assert (found.undelivered, found.undelivered_s) == (7.0, 1.5)
    assert found.silent_s == {"trade": 0.5}
    assert (found.dropped, found.missing) == ({"orderbook": 7.0}, {"ticker": 2.0})
