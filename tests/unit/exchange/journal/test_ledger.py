"""The ledger: exact bytes, numbered, tolerant of a torn end, one writer."""

from pathlib import Path

import msgspec
import pytest

from upbit_exchange.journal import ledger
from upbit_exchange.journal.ledger import Ledger, LedgerError
from upbit_exchange.wire import names
from upbit_exchange.wire.names import Event

FRAME = b'{"type":"orderbook","code":"KRW-BTC","timestamp":17,"total_ask_size":1.16539E8,"x":0.00077720}'


def event(stamp: int) -> Event:
    return Event("orderbook", "KRW-BTC", {"code": "KRW-BTC", "timestamp": str(stamp)}, stamp, FRAME)


def test_reads_back_what_was_written_with_the_exact_bytes(tmp_path: Path) -> None:
    book = Ledger(tmp_path)
    book.append("initial", [event(1)])
    book.append("realtime", [event(2), event(3)])
    entries = list(ledger.read(tmp_path))
    assert [(e.n, e.kind, e.time, e.key["timestamp"]) for e in entries] == [
        (1, "initial", 1, "1"),
        (2, "realtime", 2, "2"),
        (3, "realtime", 3, "3"),
    ]
    assert all(bytes(entry.frame) == FRAME for entry in entries)
    assert entries[2].event == event(3)


def test_segments_follow_each_other(tmp_path: Path) -> None:
    book = Ledger(tmp_path, segment_bytes=100)
    for stamp in range(5):
        book.append("realtime", [event(stamp)])
    assert len(ledger.segments(tmp_path)) == 5
    assert [entry.time for entry in ledger.read(tmp_path)] == [0, 1, 2, 3, 4]


def test_a_torn_last_line_is_skipped_and_a_restart_goes_on_behind_it(tmp_path: Path) -> None:
    book = Ledger(tmp_path)
    book.append("realtime", [event(1), event(2)])
    book.close()
    segment = ledger.segments(tmp_path)[0]
    segment.write_bytes(segment.read_bytes()[:-7])
    assert [entry.time for entry in ledger.read(tmp_path)] == [1]
    again = Ledger(tmp_path, next_n=2)
    again.append("realtime", [event(5)])
    assert [(entry.n, entry.time) for entry in ledger.read(tmp_path)] == [(1, 1), (2, 5)]


def test_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    book = Ledger(tmp_path)
    book.append("realtime", [event(1), event(2)])
    segment = ledger.segments(tmp_path)[0]
    segment.write_bytes(b"nonsense\n" + segment.read_bytes())
    with pytest.raises(LedgerError, match=r"ledger-000001.jsonl line 1"):
        list(ledger.read(tmp_path))


def test_one_writer_a_directory(tmp_path: Path) -> None:
    first = Ledger(tmp_path)
    with pytest.raises(LedgerError, match="running exchange"):
        Ledger(tmp_path)
    first.close()
    Ledger(tmp_path).close()


def test_keys_and_times_are_the_contract_s(request: pytest.FixtureRequest) -> None:
    import tomllib

    contract = tomllib.loads((request.config.rootpath / "pipeline.toml").read_text())
    # Candles are derived from trades: the ledger has none.
    published = {name: s for name, s in contract["streams"].items() if name not in names.CANDLES}
    assert {name: tuple(s["key"]) for name, s in published.items()} == names.KEYS
    assert {name: s["time"] for name, s in published.items()} == names.TIMES


def test_a_line_is_one_json_object() -> None:
    line = ledger.line(7, "realtime", event(3))
    assert line.endswith(b"}\n")
    assert list(msgspec.json.decode(line)) == ["n", "kind", "stream", "code", "key", "time", "frame"]
