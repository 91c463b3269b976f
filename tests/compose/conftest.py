"""One Docker engine for the session. Where none can be had the tests are skipped with the reason, never passed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.engine import Engine, NoEngineError, engine
from tests.compose.images import Images

_REPORT = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def docker() -> Iterator[Engine]:
    """An engine that answers."""
    try:
        with engine() as found:
            yield found
    except NoEngineError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def images(docker: Engine, request: pytest.FixtureRequest) -> Iterator[Images]:
    """The images of this checkout."""
    built = Images(docker)
    yield built
    request.config.stash[_REPORT] = [docker.origin, *built.report]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what the tests ran on: a stand-in is not the public image."""
    for line in config.stash.get(_REPORT, []):
        terminalreporter.write_line(f"compose: {line}")
