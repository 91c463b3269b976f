"""Which streams are waited for until they have rows in the lake."""

from __future__ import annotations

from upbit_lake.reconcile.first_rows import is_realtime, streams_without_rows


def test_streams_without_data_are_not_waited_for() -> None:
    assert streams_without_rows({"ticker": 5, "trade": 0, "orderbook": 3}, {"orderbook": 1}) == ["ticker"]


def test_snapshots_alone_are_not_waited_for() -> None:
    assert is_realtime(b'{"stream_type":"REALTIME"}')
    assert is_realtime(b"{}")
    assert not is_realtime(b'{"stream_type":"SNAPSHOT"}')
    assert not is_realtime(b"broken")
    assert not is_realtime(b"[]")
