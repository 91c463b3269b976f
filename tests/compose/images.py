"""Our images, each built when a test first asks for it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from local.home.places import REPOSITORY
from tests.compose.bases import DEBIAN, GO, PYTHON, Bases, can_be_had, stand_in
from tests.compose.engine import Engine, NoEngineError


@dataclass(frozen=True)
class Recipe:
    """A Dockerfile and the public image that it starts from."""

    dockerfile: str
    base: str


# The one that takes longest comes first.
RECIPES = {
    "minio": Recipe("deploy/images/minio/Dockerfile", GO),
    "exchange": Recipe("exchange/Dockerfile", PYTHON),
    "ingester": Recipe("ingester/Dockerfile", PYTHON),
    "flink": Recipe("flink/Dockerfile", PYTHON),
    "airflow": Recipe("deploy/images/airflow/Dockerfile", PYTHON),
    "minio-access": Recipe("deploy/images/minio/access.Dockerfile", PYTHON),
}
# By the last word of the public image's name.
STAND_INS = {
    "kafka": Recipe("tests/compose/stand_ins/kafka.Dockerfile", PYTHON),
    "haproxy": Recipe("tests/compose/stand_ins/haproxy.Dockerfile", DEBIAN),
    "postgres": Recipe("tests/compose/stand_ins/postgres.Dockerfile", DEBIAN),
}
COMPOSE_FILE, STAND_INS_FILE = "docker-compose.yml", "tests/compose/stand-ins.yml"


def public_images(repository: Path) -> set[str]:
    """The images of docker-compose.yml that are not built from this repository, but those of its browser pages."""
    services = yaml.safe_load((repository / COMPOSE_FILE).read_text())["services"].values()
    used = {service["image"] for service in services if "ui" not in service.get("profiles", ())}
    return {image for image in used if not image.startswith("upbit-")}


class Images:
    """The images of one engine, made from a checkout: this one, or another with its own `recipes`.

    Attributes:
        report: what was built on what, one line each, for people.
    """

    def __init__(
        self, engine: Engine, repository: Path = REPOSITORY, recipes: Mapping[str, Recipe] | None = None
    ) -> None:
        self.engine = engine
        self.repository = repository
        self._recipes = recipes or RECIPES
        self.bases = Bases(engine)
        self.report: list[str] = []
        self._built: set[str] = set()
        self._builders: dict[str, str] = {}

    def get(self, name: str) -> str:
        """The image `upbit-<name>` of this checkout. Skips the test when its base cannot be had."""
        return self._get(f"upbit-{name}", self._recipes[name])

    def for_compose(self) -> tuple[str, ...]:
        """Makes sure that every image of docker-compose.yml is there, and returns the files to run it with."""
        recipes = {f"upbit-{name}": recipe for name, recipe in self._recipes.items()}
        public = sorted(public_images(self.repository))
        had = all(can_be_had(self.engine, image) for image in public)
        names = {image: image.rpartition("/")[2].partition(":")[0] for image in public}
        if not had:
            recipes |= {f"upbit-stand-in-{name}": STAND_INS[name] for name in names.values()}
        for base in sorted({recipe.base for recipe in recipes.values()}):
            self._builder(base)
        # Two at a time: one compiles while the other fetches packages.
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(self._get, recipes, recipes.values()))
        if had:
            return (COMPOSE_FILE,)
        for image, name in names.items():
            label = stand_in(self.engine, f"upbit-stand-in-{name}")
            self.report.append(f"upbit-stand-in-{name} ({label}) stands in for {image}")
        return COMPOSE_FILE, STAND_INS_FILE

    def _builder(self, base: str) -> str:
        if base not in self._builders:
            try:
                self._builders[base] = self.bases.builder(base)
            except NoEngineError as reason:
                pytest.skip(str(reason))
        return self._builders[base]

    def _get(self, tag: str, recipe: Recipe) -> str:
        if tag not in self._built:
            builder = self._builder(recipe.base)
            began = time.monotonic()
            self._build(tag, recipe, builder)
            size = int(self.engine.docker("image", "inspect", "--format", "{{.Size}}", tag)) / 1e6
            label = self.bases.stand_ins.get(recipe.base)
            on = f"a stand-in for {recipe.base} ({label})" if label else recipe.base
            self.report.append(f"{tag}: {size:.0f} MB on {on}, built in {time.monotonic() - began:.0f} s")
            self._built.add(tag)
        return tag

    def _build(self, tag: str, recipe: Recipe, builder: str) -> None:
        arguments = ("--build-arg", f"BASE={recipe.base}", "--build-arg", f"BUILDER={builder}", "--tag", tag)
        # The classic builder takes what the engine has; BuildKit would ask a registry about each base.
        done = subprocess.run(
            ["docker", "build", "--network", "host", "--file", recipe.dockerfile, *arguments, "."],
            cwd=self.repository,
            env={**self.engine.environment, "DOCKER_BUILDKIT": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{tag} was not built:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
