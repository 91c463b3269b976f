"""K6: the brokers' disk is full. They die of it, the spool takes over, and with room they come back by themselves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.parts.kafka import all_brokers_answer
from tests.harness.home import Home
from tests.harness.waiting import until
from tests.integration.ingester_invariants import assert_nothing_was_missed
from tests.integration.ingester_setup import Setup

pytestmark = [pytest.mark.engines, pytest.mark.nightly]

DISK = "size=192m"
PORT_OFFSET = 5000


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Three brokers of the test's own whose data lies on one small disk."""
    home = Home(tmp_path_factory.mktemp("disk"), PORT_OFFSET)
    data = home.places.data
    data.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", str(data)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"K6 needs a tmpfs, and mount says: {mounted.stderr.strip()}")
    try:
        home.up_only("kafka")
        yield home
    finally:
        home.run("down", check=False)
        subprocess.run(["umount", "--lazy", str(data)], check=True)
        home.down()


def fill(path: Path) -> None:
    """Take all the room that is left where `path` lies."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            return


def test_a_full_disk_of_the_brokers_is_outlived(disk: Home, tmp_path: Path) -> None:
    setup = Setup(disk, tmp_path, "--codes", "20", "--rate", "300")
    filler = disk.places.data / "filler"
    try:
        setup.start_ingester()
        until("frames are acknowledged", lambda: setup.metric("acknowledged_total", "trade") > 50, 60, 0.5)
        fill(filler)
        until("the spool takes over", lambda: setup.metric("spool_records") > 3000, 120, 0.5)
        assert setup.get("/livez")[0] == 200
        filler.unlink()
        until("the brokers come back by themselves", lambda: all_brokers_answer(disk.setting), 240)
        assert_nothing_was_missed(setup)
    finally:
        setup.close()
