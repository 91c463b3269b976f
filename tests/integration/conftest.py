"""Local exchanges that a test starts and does not have to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.local_exchange import Exchange


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Exchange]]:
    running: list[Exchange] = []

    def started(*options: str, name: str = "ledger") -> Exchange:
        exchange = Exchange(tmp_path / name, *options)
        running.append(exchange)
        return exchange

    yield started
    for exchange in running:
        exchange.end()
