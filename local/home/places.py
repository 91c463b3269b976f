"""Places are the folders of a run: the checkout, the installed parts (shared by homes) and one home."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.errors import PipelineError

REPOSITORY = Path(__file__).resolve().parents[2]

# Each of these separates or quotes something in a class path, a shell script, YAML, properties or supervisord's file.
REFUSED = set(",:;|#%\"'`$\\\n{}")
# A unix socket's path may have 107 bytes; the longest name that we put below it has 30.
LONGEST_PLAIN = 70


@dataclass(frozen=True)
class Places:
    """Folders of one run of the runner.

    Attributes:
        repository: the checkout.
        parts: installed software, the same for every home (`PIPELINE_PARTS`).
        home: one pipeline's data, configuration, logs and secrets (`PIPELINE_HOME`).
    """

    repository: Path
    parts: Path
    home: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Places:
        """Returns the environment's folders. Raises PipelineError for a path that the engines' files cannot hold."""
        base = REPOSITORY / ".pipeline"
        found = {}
        for name, default in (("PIPELINE_PARTS", base / "parts"), ("PIPELINE_HOME", base / "home")):
            # Resolved, so that one folder has one name however it was reached.
            found[name] = Path(environment.get(name) or default).resolve()
            wrong = sorted(REFUSED & set(str(found[name])))
            if wrong:
                raise PipelineError(f"{name}={found[name]}: {wrong[0]!r} cannot stand in it: choose another folder")
        return cls(REPOSITORY, found["PIPELINE_PARTS"], found["PIPELINE_HOME"])

    def refuse_foreign_home(self) -> None:
        """Raises PipelineError when another account made the home: files of two owners would block each other."""
        try:
            owner = self.home.stat().st_uid
        except OSError:
            return  # not there, or not to be seen: what writes to it says so
        if owner != os.geteuid():
            raise PipelineError(f"{self.home} belongs to uid {owner}: run as that account, or set PIPELINE_HOME")

    def stamp(self, part: str) -> Path:
        """Holds the fingerprint of what an installed part was made from."""
        return self.venv("local") / "installed" if part == "local" else self.parts / "stamps" / part

    def venv(self, name: str) -> Path:
        return self.parts / "venvs" / name

    def python(self, venv: str) -> Path:
        return self.venv(venv) / "bin" / "python"

    @property
    def flink(self) -> Path:
        return self.parts / "flink" / "pyflink"

    @property
    def kafka_jars(self) -> Path:
        return self.parts / "kafka"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def conf(self) -> Path:
        return self.home / "conf"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def short_run(self) -> Path:
        """`run`, or a folder in /tmp when its path is too long for a socket or has blanks that scripts trip over."""
        if len(os.fsencode(self.run)) <= LONGEST_PLAIN and re.fullmatch(r"[\w/.+-]+", str(self.run), re.ASCII):
            return self.run
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        # Not tempfile's idea of it: every command of this home must come to the same folder.
        return Path("/tmp") / f"upbit-pipeline-{os.geteuid()}-{digest}"

    @property
    def supervisor_socket(self) -> Path:
        """Where the home's supervisord answers."""
        return self.short_run / "supervisor.sock"

    @property
    def ports_file(self) -> Path:
        return self.home / "ports.json"

    @property
    def source_file(self) -> Path:
        return self.home / "source.json"

    @property
    def ingester_file(self) -> Path:
        return self.home / "ingester.json"

    @property
    def credentials_file(self) -> Path:
        return self.home / "credentials.json"

    @property
    def dumps(self) -> Path:
        """Where the control database is saved before an upgrade: beside the home, which `down --purge` removes."""
        beside = self.home.with_name(f"{self.home.name}-dumps")
        return beside if os.access(self.home.parent, os.W_OK) else self.home / "dumps"

    @property
    def bootstrapped(self) -> Path:
        """Stamp: `bootstrap_pipeline` has succeeded once, so topics exist and the ingester may start early."""
        return self.run / "bootstrapped"
