"""A clock: what sleeps is later afterwards, on the machine's clock and on the one that a test turns."""

from __future__ import annotations

import pytest

from tests.twins.clock import HandClock
from upbit_lake.engines.clock import SYSTEM, Clock


@pytest.mark.parametrize("clock", [HandClock(), SYSTEM])
def test_what_sleeps_is_later(clock: Clock) -> None:
    before, began = clock.now(), clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - began >= 0.01
    assert clock.now() > before
