"""The control plane's door, `python -m upbit_lake`: the only way in which the runner uses that package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from local.errors import PipelineError, last_words
from local.home.environment import for_parts
from local.home.places import Places
from local.home.setting import Setting


@dataclass(frozen=True)
class Door:
    """The Python that runs the control plane, and all that it sees of the environment."""

    python: str
    environment: Mapping[str, str]

    def command(self, *arguments: str) -> list[str]:
        """The argument vector of one call."""
        return [self.python, "-m", "upbit_lake", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Makes one call and waits for its end; returns its output and exit code."""
        command = self.command(*arguments)
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def ask(self, *arguments: str) -> str:
        """Returns what one call prints on stdout. Raises PipelineError with the last line of a failed one."""
        done = self.run(*arguments)
        if done.returncode != 0:
            raise PipelineError(last_words(done))
        return done.stdout


def bare(places: Places, environment: Mapping[str, str] | None = None) -> Door:
    """Returns the door for what needs no more than the runner has installed."""
    return Door(sys.executable, _seen(places, environment or {}))


def of_home(setting: Setting, environment: Mapping[str, str] | None = None) -> Door:
    """Returns the door for what needs Airflow's environment, where the clients of all engines are installed."""
    seen = {**setting.service_environment, **(environment or {})}
    return Door(str(setting.places.python("airflow")), _seen(setting.places, seen))


def _seen(places: Places, environment: Mapping[str, str]) -> dict[str, str]:
    return {
        **for_parts(os.environ),
        "PIPELINE_CONTRACT": str(places.repository / "pipeline.toml"),
        **environment,
        "PYTHONPATH": str(places.repository / "plugins"),
        "PYTHONSAFEPATH": "1",
    }
