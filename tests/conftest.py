"""Real engines, started once a test session in a home of its own, and purged at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.home import Home

# Its assertions say what they compared, as a test module's do.
pytest.register_assert_rewrite("tests.harness.truth")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with nothing running yet; `up_only` starts what a test needs and is cheap when it runs already."""
    home = Home(tmp_path_factory.mktemp("home"))
    yield home
    home.down()


@pytest.fixture(scope="session")
def kafka(home: Home) -> Home:
    """Three real brokers."""
    home.up_only("kafka")
    return home


@pytest.fixture(scope="session")
def engines(kafka: Home) -> Home:
    """Brokers, S3 store, PostgreSQL and Flink: all but Airflow, exchange and ingester."""
    kafka.up_only("kafka", "s3", "postgres", "flink")
    return kafka
