"""Our images, each built when a test first asks for it."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

import pytest

from local.places import REPOSITORY
from tests.compose.bases import GO, PYTHON, Bases
from tests.compose.engine import Engine, NoEngineError


@dataclass(frozen=True)
class Recipe:
    """A Dockerfile and the public image that it starts from."""

    dockerfile: str
    base: str


RECIPES = {
    "exchange": Recipe("exchange/Dockerfile", PYTHON),
    "ingester": Recipe("ingester/Dockerfile", PYTHON),
    "flink": Recipe("flink/Dockerfile", PYTHON),
    "airflow": Recipe("containers/airflow/Dockerfile", PYTHON),
    "minio": Recipe("containers/minio/Dockerfile", GO),
}


class Images:
    """The images of one engine.

    Attributes:
        report: what was built on what, one line each, for people.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.bases = Bases(engine)
        self.report: list[str] = []
        self._built: set[str] = set()

    def get(self, name: str) -> str:
        """The image `upbit-<name>` of this checkout. Skips the test when its base cannot be had."""
        tag = f"upbit-{name}"
        if name not in self._built:
            recipe = RECIPES[name]
            try:
                builder = self.bases.builder(recipe.base)
            except NoEngineError as reason:
                pytest.skip(str(reason))
            began = time.monotonic()
            self._build(tag, recipe, builder)
            size = int(self.engine.docker("image", "inspect", "--format", "{{.Size}}", tag)) / 1e6
            stand_in = self.bases.stand_ins.get(recipe.base)
            on = f"a stand-in for {recipe.base} ({stand_in})" if stand_in else recipe.base
            self.report.append(f"{tag}: {size:.0f} MB on {on}, built in {time.monotonic() - began:.0f} s")
            self._built.add(name)
        return tag

    def _build(self, tag: str, recipe: Recipe, builder: str) -> None:
        arguments = ("--build-arg", f"BASE={recipe.base}", "--build-arg", f"BUILDER={builder}", "--tag", tag)
        # The classic builder takes what the engine has; BuildKit would ask a registry about each base.
        done = subprocess.run(
            ["docker", "build", "--network", "host", "--file", recipe.dockerfile, *arguments, "."],
            cwd=REPOSITORY,
            env={**self.engine.environment, "DOCKER_BUILDKIT": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{tag} was not built:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
