"""A stream that no module names: one struct and one StreamSpec at the gate, one section of the contract.

Candles of three minutes stand for it: they have no id of their own, REST has no use for them here, and the SNAPSHOT of
a subscription may be a candle that is not over yet.
"""

import json
from pathlib import Path

import pytest
from msgspec import UNSET, Raw, UnsetType

from tests.unit.ingester.stream_setting import DAY_MS, Setting
from upbit_ingester import contract
from upbit_ingester.continuity.continuity import SILENT_LOOKS
from upbit_ingester.continuity.pending import PATIENCE_S
from upbit_ingester.delivery.pump import DEAD_LETTER
from upbit_ingester.gate import frames
from upbit_ingester.gate.frames import Event, Frame, StreamSpec, possible_ms
from upbit_ingester.spool.state import Change
from upbit_ingester.streams.stream import changes_of
from upbit_ingester.upbit.session import subscription

NAME = "candle.3m"
CODES = ("KRW-BTC", "KRW-ETH")


class CandleFrame(Frame, gc=False, kw_only=True, omit_defaults=True):
    """A candle; key (code, candle_date_time_utc), sent again whenever a trade has changed it."""

    candle_date_time_utc: str
    candle_date_time_kst: Raw = frames.ABSENT
    opening_price: Raw
    high_price: Raw
    low_price: Raw
    trade_price: Raw
    candle_acc_trade_volume: Raw
    candle_acc_trade_price: Raw
    timestamp: int
    stream_type: str | UnsetType | None = UNSET

    def event(self) -> Event:
        """See Frame."""
        return possible_ms("timestamp", self.timestamp), 0, (self.timestamp, self.candle_date_time_utc.encode())


PRICES = ("opening_price", "high_price", "low_price", "trade_price")
SPEC = StreamSpec(
    CandleFrame,
    {**dict.fromkeys(PRICES, (17, 8)), "candle_acc_trade_volume": (20, 8), "candle_acc_trade_price": (38, 16)},
)


def candle(number: int, kind: str = "REALTIME", code: str = "KRW-BTC", price: str = "142009000.00000000") -> bytes:
    """A frame as Upbit's documentation spells it, `number` seconds into the day."""
    return (
        f'{{"type":"candle.3m","code":"{code}","candle_date_time_utc":"2026-07-30T00:00:{number:02}",'
        f'"candle_date_time_kst":"2026-07-30T09:00:{number:02}","opening_price":142009000.00000000,'
        f'"high_price":142009000.00000000,"low_price":142009000.00000000,"trade_price":{price},'
        '"candle_acc_trade_volume":0.00606119,"candle_acc_trade_price":860743.5307100000000000,'
        f'"timestamp":{DAY_MS + 1000 * number},"stream_type":"{kind}"}}'
    ).encode()


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> contract.Contract:
    """The repository's contract and one section more; the gate knows its struct."""
    monkeypatch.setitem(frames.STREAMS, NAME, SPEC)
    text = contract.DEFAULT_PATH.read_text(encoding="utf-8") + f'\n[streams."{NAME}"]\ntopic = "upbit-candle-3m"\n'
    (tmp_path / "pipeline.toml").write_text(text, encoding="utf-8")
    return contract.load(tmp_path / "pipeline.toml")


def setting(pipeline: contract.Contract, folder: Path, sockets: int = 1) -> Setting:
    """Every socket is open and has brought the SNAPSHOT of second 1 of each code."""
    made = Setting(NAME, folder, codes=CODES, sockets=sockets, contracted=pipeline.streams[NAME])
    for number, sink in enumerate(made.sinks):
        sink.connected(CODES)
        for code in CODES:
            made.raw(candle(1, "SNAPSHOT", code), made.wall_s(), number)
    return made


def test_it_is_subscribed_to_by_its_name(pipeline: contract.Contract) -> None:
    _, wanted, _ = json.loads(subscription(pipeline.streams[NAME].name, CODES, "t"))
    assert (wanted["type"], wanted["codes"]) == (NAME, list(CODES))


def test_its_frames_are_kept_in_a_lane_of_their_own_and_none_counts_as_a_trade(
    pipeline: contract.Contract, tmp_path: Path
) -> None:
    candles = setting(pipeline, tmp_path)
    candles.raw(candle(2), candles.wall_s())
    candles.raw(candle(2, code="KRW-ETH"), candles.wall_s())
    assert candles.records()[2:] == [candle(2), candle(2, code="KRW-ETH")]
    assert {item.lane for item in candles.pump.items} == {NAME}
    assert (candles.state.trades, candles.targets, candles.gaps()) == ({}, [], [])
    assert candles.state.streams[NAME].event_ms == DAY_MS + 2000
    records = [item.record for item in candles.pump.items if item.record is not None]
    received_ms = int(candles.wall_s() * 1000)
    assert list(changes_of(NAME, records)) == [
        Change("seen", NAME, code, DAY_MS + 2000, received_ms, 0) for code in CODES
    ]


def test_a_snapshot_that_repeats_is_kept_once_and_a_loss_that_cost_nothing_is_no_gap(
    pipeline: contract.Contract, tmp_path: Path
) -> None:
    candles = setting(pipeline, tmp_path)
    candles.raw(candle(2))
    candles.raw(candle(2, code="KRW-ETH"))
    kept = candles.records()
    candles.reconnect()
    for code in CODES:
        candles.raw(candle(2, "SNAPSHOT", code))
    candles.raw(candle(3))
    assert candles.records() == [*kept, candle(3)]
    assert candles.gaps() == []


def test_what_was_missed_is_a_gap_and_nothing_is_asked_of_rest(pipeline: contract.Contract, tmp_path: Path) -> None:
    candles = setting(pipeline, tmp_path)
    candles.raw(candle(2))
    candles.reconnect("close_1006")
    for code in CODES:
        candles.raw(candle(5, "SNAPSHOT", code))
    candles.raw(candle(6))
    candles.quiet(SILENT_LOOKS + 1)
    candles.raw(candle(20))
    assert candles.gaps() == ["close_1006", "silence"]
    assert (candles.targets, candles.marks()) == ([], ["seen"] * 3)


def test_two_sockets_bring_each_frame_once_and_a_later_one_shows_that_the_other_lives(
    pipeline: contract.Contract, tmp_path: Path
) -> None:
    candles = setting(pipeline, tmp_path, sockets=2)
    for number in (2, 3):
        for socket in (0, 1):
            candles.raw(candle(number), candles.wall_s(), socket)
    candles.reconnect("close_1006", 0)
    candles.raw(candle(4, "SNAPSHOT", price="142000000.0"), candles.wall_s(), 0)  # second 4 is not over yet
    for socket in (0, 1):
        candles.raw(candle(5), candles.wall_s(), socket)
    candles.look(PATIENCE_S)
    live = [record for record in candles.records() if b"REALTIME" in record]
    assert live == [candle(2), candle(3), candle(5)]
    assert (candles.gaps(), candles.metrics.open_gaps[NAME]) == ([], 0)


def test_a_socket_that_died_unnoticed_is_found_out_without_rest(pipeline: contract.Contract, tmp_path: Path) -> None:
    candles = setting(pipeline, tmp_path, sockets=2)
    candles.raw(candle(2), candles.wall_s(), 0)
    candles.raw(candle(2), candles.wall_s(), 1)
    candles.reconnect("close_1006", 0)
    candles.raw(candle(5, "SNAPSHOT"), candles.wall_s(), 0)
    candles.look(PATIENCE_S)
    assert (candles.gaps(), candles.targets) == (["stale"], [])


def test_what_does_not_fit_is_a_dead_letter_and_it_is_neither_shed_nor_quiet_for_an_hour(
    pipeline: contract.Contract, tmp_path: Path
) -> None:
    candles = setting(pipeline, tmp_path)
    candles.raw(candle(2, price="1.123456789"))
    assert candles.pump.items[-1].lane == DEAD_LETTER
    assert candles.metrics.dead_lettered == {NAME: 1}
    candles.pump.shedding = True
    candles.raw(candle(3))
    candles.look()
    candles.look(3599)
    assert candles.records()[-1] == candle(3)
    assert (candles.metrics.shed[NAME], candles.metrics.stale_markets[NAME]) == (0, 0)
    assert not pipeline.streams[NAME].expires
    candles.look(1)
    assert candles.metrics.stale_markets[NAME] == 2
