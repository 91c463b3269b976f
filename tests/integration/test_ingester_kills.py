"""The ingester is killed at random points under load: what its spool had taken reaches Kafka, in order."""

from __future__ import annotations

import random
import re
import time
from collections import defaultdict
from pathlib import Path

import pytest

from tests.harness.waiting import until
from tests.integration.ingester_invariants import assert_heals, segments
from tests.integration.ingester_setup import STREAMS, Place, Setup, place_of
from upbit_ingester.spool.record import decode_all
from upbit_ingester.spool.segment import MAGIC

pytestmark = pytest.mark.engines

SOON = 0.3  # of the kills come while it starts and sends what an earlier one left
STARTING_S = 3.0
APPENDED_BYTES = 1_500_000  # about two seconds of the load
SOURCE = ("--codes", "20", "--rate", "1000")


class Killer:
    """Kills at points that its seed gives: a time after the start, or a byte of what is appended."""

    def __init__(self, setup: Setup, seed: int) -> None:
        self._setup, self._chance = setup, random.Random(seed)

    def kill(self) -> None:
        """One start and one kill."""
        before = {path for path in segments(self._setup)}
        self._setup.launch_ingester()
        if self._chance.random() < SOON:
            time.sleep(self._chance.uniform(0, STARTING_S))  # there is nothing to wait for: the moment is the point
        else:
            self._wait_for_bytes(before, self._chance.randrange(APPENDED_BYTES))
        self._setup.kill_ingester()

    def _wait_for_bytes(self, before: set[Path], wanted: int) -> None:
        sizes: dict[Path, int] = {}

        def appended() -> bool:
            for path in set(segments(self._setup)) - before:
                with_size(path, sizes)
            return sum(sizes.values()) > wanted

        until(f"{wanted} bytes are appended", appended, 120, 0.002)


def with_size(path: Path, sizes: dict[Path, int]) -> None:
    """Note the size of a segment; one that is gone keeps what it had."""
    try:
        sizes[path] = path.stat().st_size
    except FileNotFoundError:
        return


def spooled(setup: Setup) -> dict[str, set[Place]]:
    """What stands whole in the spool, by stream: all that it has acknowledged and Kafka may not have yet."""
    found: dict[str, set[Place]] = defaultdict(set)
    for path in segments(setup):
        for record, _ in decode_all(path.read_bytes(), len(MAGIC)):
            if place := place_of(dict(record.headers)):
                found[path.parent.name].add(place)
    return found


@pytest.mark.parametrize("kills", [25, pytest.param(200, marks=pytest.mark.nightly)])
def test_kills_at_random_points_lose_nothing_that_was_spooled(setup: Setup, kills: int) -> None:
    killer, taken = Killer(setup, seed=kills), defaultdict[str, set[Place]](set)
    for _ in range(kills):
        killer.kill()
        for stream, places in spooled(setup).items():
            taken[stream] |= places
    setup.start_ingester()
    assert_heals(setup)
    for stream in STREAMS:
        held = {place for places in setup.kept(stream).order.values() for place in places}
        assert len({place.run for place in taken[stream]}) > kills / 4, "too few kills found anything in the spool"
        assert taken[stream] - held == set(), stream
    log = (setup.folder / "ingester.log").read_text()
    print(f"{kills} kills: {sum(map(len, taken.values()))} frames stood in the spool at one; "
          f"{len(re.findall('torn bytes', log))} torn ends; {len(re.findall('is damaged', log))} damaged")  # fmt: skip
    assert "is damaged" not in log
