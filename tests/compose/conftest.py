"""One Docker engine for the session. Where none can be had the tests are skipped with the reason, never passed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.containers import unique
from tests.compose.engine import Engine, NoEngineError, engine
from tests.compose.images import Images
from tests.compose.project import Project
from tests.end_to_end.conftest import SMALL_MARKET, run_dag, start_with_two_closed_hours
from tests.harness.waiting import until

# 300 frames in a second of ours until the present is reached, after a little more than three minutes.
SPEED = "24"
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


@pytest.fixture(scope="session")
def project(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Every container of docker-compose.yml, healthy, with the local exchange; nothing is bootstrapped."""
    clock = {"EXCHANGE_START": start_with_two_closed_hours().isoformat(), "EXCHANGE_SPEED": SPEED}
    project = Project(images, tmp_path_factory.mktemp("compose"), unique("upbit-test"), {**SMALL_MARKET, **clock})
    with project.running():
        images.report.append(f"up and healthy {project.age_s():.0f} s after the first container")
        yield project
        images.report += project.memory()


@pytest.fixture(scope="session")
def pipeline(project: Project, images: Images) -> Project:
    """The same after one run of bootstrap_pipeline, with rows in the lake."""
    run_dag(project.airflow(), "bootstrap_pipeline")
    until("first rows", lambda: project.lake("SELECT count(*) AS n FROM trade")[0]["n"], 300, every_s=3)
    images.report.append(f"first rows {project.age_s():.0f} s after the first container")
    return project


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what the tests ran on: a stand-in is not the public image."""
    for line in config.stash.get(_REPORT, []):
        terminalreporter.write_line(f"compose: {line}")
