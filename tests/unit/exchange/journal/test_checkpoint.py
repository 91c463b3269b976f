"""What survives a restart: from the checkpoint, from the ledger alone, with old segments removed."""

import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from upbit_exchange.journal import ledger
from upbit_exchange.journal.board import Board
from upbit_exchange.journal.checkpoint import CheckpointedLedger
from upbit_exchange.journal.ledger import LedgerError
from upbit_exchange.market import listing
from upbit_exchange.market.market import LocalMarket
from upbit_exchange.wire import spelling

START = 1_795_392_000_000
SEGMENT = 200_000
IDENTITY = {"source": "market", "codes": 3}


def filled(directory: Path, seconds: int = 30, keep: int = 0) -> CheckpointedLedger:
    source = LocalMarket(listing.markets(3), 50, 1, START, spelling.dotted)
    written = CheckpointedLedger(directory, IDENTITY, keep, SEGMENT)
    written.record("initial", source.initial())
    for second in range(seconds):
        written.record("realtime", source.take(START + second * 1000, 10**9))
    return written


def state(board: Board) -> dict[str, Any]:
    return {
        "last": board.last,
        "published": board.published,
        "entries": board.entries,
        "newest": board.newest_ms,
        "trades": {code: list(board.history.trades(code)) for code in ("KRW-BTC", "KRW-ETH", "KRW-XRP")},
        "close": board.history.first_close("KRW-BTC"),
    }


@pytest.mark.parametrize("checkpoint", ["kept", "removed", "damaged", "of an earlier segment"])
def test_the_board_is_the_same_after_a_restart(tmp_path: Path, checkpoint: str) -> None:
    written = filled(tmp_path)
    before = state(written.board)
    path = tmp_path / "checkpoint.msgpack"
    if checkpoint == "of an earlier segment":
        earlier = path.read_bytes()  # written when a segment was full, as after a kill
    written.close()
    if checkpoint == "of an earlier segment":
        assert earlier != path.read_bytes()
        path.write_bytes(earlier)
    elif checkpoint == "removed":
        path.unlink()
    elif checkpoint == "damaged":
        path.write_bytes(path.read_bytes()[:-10])
    again = CheckpointedLedger(tmp_path, IDENTITY)
    assert state(again.board) == before
    again.record("realtime", [next(iter(again.board.last.values()))])
    numbers = [entry.n for entry in ledger.read(tmp_path)]
    assert len(ledger.segments(tmp_path)) > 3
    assert numbers == list(range(1, before["entries"] + 2))


def test_old_segments_go_when_the_ledger_is_bounded(tmp_path: Path) -> None:
    written = filled(tmp_path, seconds=60, keep=3 * SEGMENT)
    before = state(written.board)
    written.close()
    assert sum(segment.stat().st_size for segment in ledger.segments(tmp_path)) <= 3 * SEGMENT
    first = next(ledger.read(tmp_path))
    assert first.n > 100
    again = CheckpointedLedger(tmp_path, IDENTITY)
    assert state(again.board) == before
    again.close()
    (tmp_path / "checkpoint.msgpack").unlink()
    assert CheckpointedLedger(tmp_path, IDENTITY).board.entries == before["entries"]


def test_another_source_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, 1).close()
    with pytest.raises(LedgerError, match="ledger of another source"):
        CheckpointedLedger(tmp_path, {"source": "replay"})
    (tmp_path / "source.json").write_text("{")
    with pytest.raises(LedgerError, match="damaged"):
        CheckpointedLedger(tmp_path, IDENTITY)


@pytest.fixture
def file_size_limit() -> Iterator[int]:
    """A real write error in the middle of a batch: no file may grow beyond this."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_refused_write_leaves_no_event_that_is_not_going_to_be_sent(tmp_path: Path, file_size_limit: int) -> None:
    source = LocalMarket(listing.markets(3), 50, 1, START, spelling.dotted)
    written = CheckpointedLedger(tmp_path, IDENTITY)
    written.record("initial", source.initial())
    before = state(written.board)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size_limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with pytest.raises(OSError, match="File too large"):
        written.record("realtime", source.take(START + 20_000, 10**9))
    assert state(written.board) == before
    written.close()
    assert state(CheckpointedLedger(tmp_path, IDENTITY).board) == before
    assert [entry.kind for entry in ledger.read(tmp_path)] == ["initial"] * 9
