"""A home on paper: settings to render configuration from, nothing started."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from local.home.credentials import Credentials
from local.home.places import REPOSITORY, Places
from local.home.ports import Ports
from local.home.setting import Setting
from local.home.source import Source


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    places = Places(REPOSITORY, tmp_path / "parts", tmp_path / "home")
    yield places
    shutil.rmtree(places.short_run, ignore_errors=True)  # it may lie outside of the home


@pytest.fixture
def setting(places: Places) -> Setting:
    secrets = Credentials(**{field.name: f"secret-{field.name}" for field in fields(Credentials)})
    return Setting(places, Ports.choose({}), secrets, Source("exchange"), Path("/opt/jdk"))
