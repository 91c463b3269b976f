"""Published trades: ordered whatever order they came in, once each, exact in their range queries."""

import random

from upbit_exchange.market.history import REACH_MS, History
from upbit_exchange.wire.names import Event

CODE = "KRW-BTC"
DAY = 86_400_000


def trade(ms: int, sequential_id: int, close: str = "10.0") -> Event:
    frame = (
        f'{{"type":"trade","code":"{CODE}","trade_price":12.5,"trade_volume":0.00000001,"ask_bid":"BID",'
        f'"prev_closing_price":{close},"sequential_id":{sequential_id}}}'
    )
    return Event("trade", CODE, {"code": CODE, "sequential_id": str(sequential_id)}, ms, frame.encode())


def ids(history: History, from_ms: int = 0, to_ms: int = 1 << 62) -> list[int]:
    return [t.sequential_id for t in history.trades(CODE, from_ms, to_ms)]


def test_late_and_repeated_trades_find_their_place_once() -> None:
    events = [trade(1000 + i // 3, 10_000 * (1000 + i // 3) + i % 3) for i in range(60)]
    shuffled = [*events, *events[:20]]
    random.Random(5).shuffle(shuffled)
    history = History()
    for event in shuffled:
        history.add(event)
    assert ids(history) == [int(event.key["sequential_id"]) for event in events]
    assert ids(history, 1003, 1005) == [10030000, 10030001, 10030002, 10040000, 10040001, 10040002]
    newest = history.newest(CODE, 1003, 1005, cursor=10040001, count=2)
    assert [(t.sequential_id, close) for t, close in newest] == [(10040000, 10 * 10**8), (10030002, 10 * 10**8)]
    assert history.newest_before(CODE, 1003) == 1002
    assert history.newest_before(CODE, 1000) is None


def test_an_unknown_code_has_no_trades() -> None:
    history = History()
    assert ids(history) == []
    assert list(history.newest(CODE, 0, 1 << 62, None, 10)) == []
    assert history.newest_before(CODE, 1 << 62) is None


def test_what_rest_does_not_reach_any_more_is_forgotten() -> None:
    history = History()
    # The day that REACH_MS cuts in two is kept whole.
    first, cut, later = 20_000 * DAY - 1_000, 20_000 * DAY, 20_000 * DAY + REACH_MS + DAY // 2
    for index in range(4096):
        history.add(trade((first if index < 100 else cut if index < 200 else later) + index, index))
    assert ids(history) == list(range(100, 4096))
    assert REACH_MS >= 8 * DAY
