"""Local exchanges and ingesters that a test starts and does not have to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.home import Home
from tests.integration.ingester_setup import Setup
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


@pytest.fixture
def exchange(start: Callable[..., Exchange], request: pytest.FixtureRequest) -> Exchange:
    """With the options that the module states as OPTIONS."""
    return start(*request.module.OPTIONS)


@pytest.fixture
def setup(kafka: Home, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Setup]:
    """Its exchange has the options that the module states as SOURCE, and those of an indirect parameter after them."""
    setup = Setup(kafka, tmp_path, *request.module.SOURCE, *getattr(request, "param", ()))
    try:
        yield setup
    finally:
        setup.close()
