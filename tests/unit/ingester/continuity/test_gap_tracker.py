"""When a gap opens and closes, and that what is stored of it outlives the process."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from upbit_ingester.clock import Clock
from upbit_ingester.continuity.gap_tracker import GapTracker
from upbit_ingester.spool.gap_log import Gap, GapOpened, GapOver, Gaps, GapStep
from upbit_ingester.spool.state import StreamMark


class Tracked:
    """The tickers' tracker in a process that has just started, and the log that stores what it decides."""

    def __init__(self, folder: Path, mark: StreamMark | None = None) -> None:
        self.gaps = Gaps(folder, Clock().wall_ms)
        self.tracker = GapTracker("ticker")
        self._store(self.tracker.started(mark, self.gaps.get("ticker")))

    def _store(self, steps: Sequence[GapStep]) -> bool:
        for step in steps:
            self.gaps.store("ticker", step)
        return any(isinstance(step, Gap) for step in steps)

    def lost(self, mark: StreamMark, cause: str) -> None:
        self._store(self.tracker.lost(mark, cause))

    def dismiss(self) -> None:
        self._store(self.tracker.dismiss())

    def seen(self, event_ms: int, received_ms: int, codes: int) -> bool:
        """True when the frame closes a gap."""
        return self._store(self.tracker.seen(event_ms, received_ms, codes))


def recorded(folder: Path) -> list[Gap]:
    path = folder / "gaps.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Gap) for line in lines]


def test_a_gap_reaches_from_the_last_frame_to_the_first_live_one_after_it(tmp_path: Path) -> None:
    tracker = Tracked(tmp_path)
    assert not tracker.seen(100, 101, 3)
    tracker.lost(StreamMark(200, 205), "close_1006")
    tracker.lost(StreamMark(200, 205), "connect")
    assert tracker.seen(900, 905, 3)
    assert not tracker.seen(901, 906, 3)
    assert recorded(tmp_path) == [Gap("ticker", 3, "close_1006", 200, 900, 205, 905)]


def test_the_time_the_process_was_down_is_a_gap_but_not_at_the_very_first_start(tmp_path: Path) -> None:
    assert not Tracked(tmp_path).seen(1, 2, 1)
    assert Tracked(tmp_path, StreamMark(10, 11)).seen(20, 21, 1)
    assert [gap.cause for gap in recorded(tmp_path)] == ["down"]


def test_an_open_gap_survives_the_process_with_its_cause_and_its_beginning(tmp_path: Path) -> None:
    Tracked(tmp_path).lost(StreamMark(200, 205), "close_1006")
    found = Gaps(tmp_path, Clock().wall_ms).get("ticker")
    assert found is not None
    assert (found.cause, found.last_seen_ms, found.last_received_ms) == ("close_1006", 200, 205)
    again = Tracked(tmp_path, StreamMark(200, 205))
    assert again.tracker.is_open
    assert again.seen(900, 905, 3)
    assert recorded(tmp_path) == [Gap("ticker", 3, "close_1006", 200, 900, 205, 905)]
    assert Gaps(tmp_path, Clock().wall_ms).get("ticker") is None


def test_what_a_damaged_spool_lost_belongs_to_the_open_gap(tmp_path: Path) -> None:
    Tracked(tmp_path).lost(StreamMark(200, 205), "silence")
    assert Tracked(tmp_path, StreamMark(150, 205)).seen(900, 905, 3)
    assert [gap.last_seen_ms for gap in recorded(tmp_path)] == [150]


def test_a_loss_that_cost_nothing_leaves_no_trace(tmp_path: Path) -> None:
    tracker = Tracked(tmp_path)
    tracker.lost(StreamMark(200, 205), "silence")
    tracker.dismiss()
    assert not tracker.seen(900, 905, 3)
    assert (recorded(tmp_path), Gaps(tmp_path, Clock().wall_ms).get("ticker")) == ([], None)


def test_a_broken_file_of_open_gaps_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "gaps_open.json").write_bytes(b'{"ticker":')
    assert Tracked(tmp_path, StreamMark(10, 11)).seen(20, 21, 1)
    assert [gap.cause for gap in recorded(tmp_path)] == ["down"]


def test_the_line_of_a_gap_is_stored_before_it_counts_as_over() -> None:
    tracker = GapTracker("ticker")
    assert tracker.started(StreamMark(10, 11), None) == (GapOpened(StreamMark(10, 11), "down"),)
    assert tracker.lost(StreamMark(10, 11), "close_1006") == ()
    assert tracker.lost(StreamMark(10, 11), "silence") == (GapOpened(StreamMark(10, 11), "silence"),)
    assert tracker.silent_since_ms() == 10
    assert tracker.seen(20, 21, 3) == (Gap("ticker", 3, "silence", 10, 20, 11, 21), GapOver())
    assert tracker.seen(22, 23, 3) == ()
