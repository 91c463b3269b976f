"""What a start makes of a spool that was damaged."""

from pathlib import Path

from tests.unit.ingester.sample_frames import TRADE_LIVE
from tests.unit.ingester.stream_setting import STREAMS
from upbit_ingester.backoff import Backoff
from upbit_ingester.delivery.producer import Lane
from upbit_ingester.delivery.pump import DEAD_LETTER
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool import state as states
from upbit_ingester.spool.log import Spool
from upbit_ingester.spool.record import Record
from upbit_ingester.spool.state import Change, State
from upbit_ingester.streams.left_over import DAMAGE_REACH_MS, take_over

EVENT_MS = 1785395043779


def test_what_a_damaged_spool_may_have_lost_does_not_count_as_known(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "trade", lambda: 0.0)
    spool.append([Record(b"KRW-BTC", (("source", b"ws"),), TRADE_LIVE)] * 3)
    spool.close()
    (segment,) = (tmp_path / "trade").glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    kept = State()
    kept.apply(Change("seen", "trade", "KRW-BTC", EVENT_MS + 5000, 0, 99))

    names = (*STREAMS, DEAD_LETTER)
    lanes = [Lane(name, name, Spool(tmp_path / name, lambda: 0.0), Backoff(lambda: 0.0)) for name in names]
    take_over(lanes, STREAMS, kept, tmp_path / "state.json", metrics := Metrics())
    written = states.load(tmp_path / "state.json")
    assert written.trades["KRW-BTC"].ids == []
    assert written.trades["KRW-BTC"].gap_from_ms == EVENT_MS - DAMAGE_REACH_MS
    assert (metrics.spool_damaged, metrics.replayed) == (1, 2)
    assert Spool(tmp_path / "trade", lambda: 0.0).unacknowledged == 2
