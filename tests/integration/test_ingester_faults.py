"""What happens to the ingester itself (I3, I5, I6, C1): frozen, no room left, two at once, a wrong clock."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.harness.waiting import until
from tests.integration.brokers import Brokers
from tests.integration.ingester_invariants import assert_heals
from tests.integration.ingester_setup import (
    REPOSITORY,
    STREAMS,
    Setup,
    assert_bytes_are_the_exchanges,
    free_port,
    gaps_of,
    wait_for_every_trade,
)

pytestmark = pytest.mark.engines

MIB = 2**20
FROZEN_S = 60
SPOOL_MB = 64
INBOX_MB = 24  # what may wait in memory while the disk, or its bound, takes nothing more
MEMORY_MB = 400
SOURCE = ("--codes", "20", "--rate", "300")


def wait_for_news(setup: Setup) -> None:
    before = setup.metric("received_total", "trade")
    until("trades come", lambda: setup.metric("received_total", "trade") > before + 100, 60, 0.2)


@pytest.mark.nightly
def test_a_frozen_ingester_says_so_and_goes_on(setup: Setup) -> None:
    """No controller restarts it here: what supervise_ingester does with a /livez that is silent has its own test."""
    setup.start_ingester()
    wait_for_news(setup)
    assert setup.ingester is not None
    setup.ingester.send_signal(signal.SIGSTOP)
    assert setup.get("/livez")[0] == 0
    setup.let_pass(FROZEN_S)
    setup.ingester.send_signal(signal.SIGCONT)
    until("it says that it lives", lambda: setup.get("/livez")[0] == 200, 60, 0.5)
    wait_for_news(setup)
    assert_heals(setup)


@pytest.mark.parametrize("setup", [pytest.param(("--rate", "3000"), id="3000")], indirect=True)
@pytest.mark.nightly
def test_brokers_that_stall_until_the_spool_is_full_cost_books_only(setup: Setup) -> None:
    setup.start_ingester(INGESTER_SPOOL_MAX_MB=str(SPOOL_MB), INGESTER_IN_FLIGHT_MB="16")
    assert setup.ingester is not None
    memory, peak_mb = psutil.Process(setup.ingester.pid), [0.0]

    def full() -> bool:
        peak_mb.append(memory.memory_full_info().pss / MIB)
        return "the spool is full, reading pauses" in (setup.folder / "ingester.log").read_text()

    with Brokers(setup.home).frozen():
        until("no socket is read", full, 180, 0.2)
        setup.let_pass(5)
        assert setup.metric("spool_bytes") < (SPOOL_MB + INBOX_MB) * MIB
        full()
    wait_for_news(setup)
    full()
    print(f"PSS at most {max(peak_mb):.0f} MB")
    assert max(peak_mb) < MEMORY_MB
    assert_heals(setup, shed=("orderbook",))
    assert setup.folder.joinpath("ingester.log").read_text().count("BufferError") == 0
    causes = {line["cause"] for line in closed_gaps(setup) if line["stream"] == "orderbook"}
    assert "shed" in causes


def closed_gaps(setup: Setup) -> list[dict[str, object]]:
    return [json.loads(line) for line in (setup.folder / "spool" / "gaps.jsonl").read_bytes().splitlines()]


def test_two_ingesters_at_once_double_frames_and_change_none(setup: Setup, tmp_path: Path) -> None:
    """And while one is killed and comes back the other carries everything: the lake's keys make one of two copies."""
    setup.start_ingester()
    other_spool, port = tmp_path / "other", setup.port
    setup.port = free_port()
    setup.start_ingester(INGESTER_HTTP_PORT=str(setup.port), INGESTER_SPOOL_DIR=str(other_spool))
    other, setup.port = setup.ingester, port
    wait_for_news(setup)
    first = setup.processes[1]
    first.kill()
    first.wait()
    setup.start_ingester()
    wait_for_news(setup)
    assert other is not None
    other.send_signal(signal.SIGTERM)
    assert other.wait(timeout=25) == 0
    wait_for_every_trade(setup)
    assert setup.stop_ingester() == 0
    for stream in STREAMS:
        kept, published = setup.kept(stream), list(setup.published(stream))
        assert len({place.run for place in kept.live}) == 3
        assert len(kept.live) > len(set(kept.live.values())) + 100, "no frame came twice"
        places = [place for place, key in enumerate(published) if key in kept.values]
        assert set(published[places[0] : places[-1]]) - kept.values.keys() == set(), stream
    for stream in ("ticker", "orderbook"):
        assert_bytes_are_the_exchanges(setup, stream)


def test_a_second_ingester_on_the_same_spool_is_refused(setup: Setup) -> None:
    setup.start_ingester()
    first = setup.ingester
    setup.launch_ingester(INGESTER_HTTP_PORT=str(free_port()))
    assert setup.ingester is not None
    assert setup.ingester.wait(timeout=30) == 2
    assert "INGESTER_SPOOL_DIR: another ingester works in" in (setup.folder / "ingester.log").read_text()
    setup.ingester = first
    wait_for_news(setup)
    assert setup.stop_ingester() == 0


class WallClock:
    """The wall clock of the ingesters that are started with its `environment`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "skew"
        paths = (REPOSITORY / "tests" / "integration" / "skewed_clock", REPOSITORY / "ingester")
        self.environment = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "SKEW_FILE": str(self._file)}

    def set(self, seconds: int) -> None:
        """So many seconds away from the true time."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(self._file)


def test_a_wrong_clock_that_is_set_back_changes_no_frame_and_loses_none(setup: Setup, tmp_path: Path) -> None:
    clock = WallClock(tmp_path)
    clock.set(-7200)
    setup.start_ingester(**clock.environment)
    wait_for_news(setup)
    setup.kill_ingester()
    clock.set(7200)
    setup.start_ingester(**clock.environment)
    wait_for_news(setup)
    clock.set(6900)
    wait_for_news(setup)
    assert_heals(setup)
    assert [gap for gap in gaps_of(setup, "trade") if gap[1] - gap[0] > 600_000] == [], "a gap is given in true time"
    skews = {skew(message) for message in setup.records("ticker")}
    assert skews - {None} == {-24, 24, 23}, "in steps of five minutes: the clock was never wrong"


def skew(message: Any) -> int | None:
    """How wrong the clock was that stamped a live record, in steps of five minutes; None for a SNAPSHOT."""
    frame, headers = json.loads(message.value()), dict(message.headers())
    if frame["stream_type"] == "SNAPSHOT":
        return None
    behind_ms: float = int(headers["recv_ns"]) / 1e6 - frame["timestamp"]
    return round(behind_ms / 300_000)
