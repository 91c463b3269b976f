"""What survives a restart."""

from pathlib import Path

from upbit_ingester.spool import state as states
from upbit_ingester.spool.state import AHEAD_MS, KEPT_IDS, STORED_IDS, Change, State


def seen(code: str, sequential_id: int, event_ms: int = 100, stream: str = "trade") -> Change:
    return Change("seen", stream, code, event_ms, event_ms + 5, sequential_id)


def test_survives_a_restart(tmp_path: Path) -> None:
    state = State()
    for change in (
        seen("KRW-BTC", 5, 200),
        seen("KRW-BTC", 4, 150),
        Change("baseline", "trade", "KRW-ETH", 90, 0, 3),
        Change("gap", "trade", "KRW-BTC", 0),
        Change("seen", "ticker", "KRW-BTC", 300, 301),
    ):
        state.apply(change)
    states.save(state, tmp_path / "state.json")
    loaded = states.load(tmp_path / "state.json")
    assert loaded.trades["KRW-BTC"].last_ms == 200
    assert loaded.trades["KRW-BTC"].ids == [5, 4]
    assert loaded.trades["KRW-BTC"].gap_from_ms == 200
    assert loaded.trades["KRW-ETH"].ids == [3]
    assert (loaded.streams["ticker"].event_ms, loaded.streams["ticker"].received_ms) == (300, 301)


def test_an_open_gap_keeps_its_beginning_until_it_is_healed() -> None:
    state = State()
    state.apply(seen("KRW-BTC", 1, 100))
    state.apply(Change("gap", "trade", "KRW-BTC", 0))
    state.apply(seen("KRW-BTC", 9, 900))
    state.apply(Change("gap", "trade", "KRW-BTC", 0))
    assert state.trades["KRW-BTC"].gap_from_ms == 100
    state.apply(Change("healed", "trade", "KRW-BTC", 0))
    assert state.trades["KRW-BTC"].gap_from_ms is None


def test_what_does_not_count_as_known_is_fetched_again_from_there() -> None:
    state = State()
    for change in (seen("KRW-BTC", 9, 900), seen("KRW-ETH", 3, 100), Change("gap", "trade", "KRW-ETH", 0)):
        state.apply(change)
    state.forget_since("trade", 500)
    assert state.trades["KRW-BTC"].ids == [9], "the trades of the codes are another step"
    state.forget_trades_since(500)
    assert (state.trades["KRW-BTC"].gap_from_ms, state.trades["KRW-BTC"].ids) == (500, [])
    assert state.trades["KRW-ETH"].gap_from_ms == 100
    assert state.streams["trade"].event_ms == 500
    state.forget_since("ticker", 500)
    assert "ticker" not in state.streams


def test_memory_is_bounded() -> None:
    state = State()
    for number in range(1, 10 * KEPT_IDS):
        state.apply(seen("KRW-BTC", number, number))
    assert len(state.trades["KRW-BTC"].ids) <= 2 * KEPT_IDS
    stored = states.encode(state)
    assert stored.count(b",") < STORED_IDS + 10


def test_a_broken_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b'{"streams":')
    assert states.load(path) == State()
    assert (tmp_path / "state.broken").read_bytes() == b'{"streams":'
    assert states.load(path) == State()


def test_an_event_from_the_future_does_not_hide_what_is_missed_after_it() -> None:
    state, now_ms, hour_ms = State(), 1_800_000_000_000, 3_600_000
    for received_ms in (now_ms, now_ms - 2 * hour_ms):  # our clock may be wrong, and be set back
        state.apply(Change("seen", "trade", "KRW-BTC", now_ms, received_ms, 1))
    state.apply(Change("seen", "trade", "KRW-BTC", now_ms + hour_ms, now_ms + 5, 2))
    assert state.trades["KRW-BTC"].last_ms == now_ms + 5 + AHEAD_MS
    assert state.streams["trade"].event_ms == now_ms + 5 + AHEAD_MS
