"""What a start makes of a spool that was damaged."""

from pathlib import Path

import pytest

from tests.unit.ingester.sample_frames import TRADE_LIVE
from upbit_ingester import settings
from upbit_ingester.service import DAMAGE_REACH_MS, Service
from upbit_ingester.spool import state as states
from upbit_ingester.spool.log import Spool
from upbit_ingester.spool.record import Record
from upbit_ingester.spool.state import Change, State

EVENT_MS = 1785395043779


def test_what_a_damaged_spool_may_have_lost_does_not_count_as_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "trade", lambda: 0.0)
    spool.append([Record(b"KRW-BTC", (("source", b"ws"),), TRADE_LIVE)] * 3)
    spool.close()
    (segment,) = (tmp_path / "trade").glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    kept = State()
    kept.apply(Change("seen", "trade", "KRW-BTC", EVENT_MS + 5000, 0, 99))
    states.save(kept, tmp_path / "state.json")

    for part in ("_bind", "_delivery"):  # no port and no producer
        monkeypatch.setattr(Service, part, lambda *_: None)
    environment = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "INGESTER_SPOOL_DIR": str(tmp_path)}
    Service(settings.load(environment))
    written = states.load(tmp_path / "state.json")
    assert written.trades["KRW-BTC"].ids == []
    assert written.trades["KRW-BTC"].gap_from_ms == EVENT_MS - DAMAGE_REACH_MS
    assert Spool(tmp_path / "trade", lambda: 0.0).unacknowledged == 2


def test_a_spool_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "trade").write_bytes(b"")
    environment = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "INGESTER_SPOOL_DIR": str(tmp_path)}
    with pytest.raises(settings.SettingsError, match=r"^INGESTER_SPOOL_DIR: cannot read or write"):
        Service(settings.load(environment))
