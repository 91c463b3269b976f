"""The whole pipeline, brought up as a user does, on a small market two hours back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.home import Home

# 40 codes, 12.5 frames in an exchange second: 150 frames in a second of ours until the present is reached.
SMALL_MARKET = {"EXCHANGE_CODES": "40", "EXCHANGE_RATE": "12.5", "EXCHANGE_SEED": "7"}
SPEED = 12


def start_with_two_closed_hours() -> datetime:
    """80 minutes before this hour: 20 minutes of one hour and a whole one, both closed after seven minutes of ours."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(minutes=80)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A running pipeline; its first `up` is part of the test."""
    home = Home(tmp_path_factory.mktemp("pipeline"), port_offset=5000, settings=SMALL_MARKET)
    start = start_with_two_closed_hours()
    try:
        done = home.run("up", "--source", "exchange", "--speed", str(SPEED), "--start", start.isoformat())
        print(done.stdout)
        yield home
    finally:
        home.down()
