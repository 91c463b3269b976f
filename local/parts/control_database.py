"""The schema of the database `pipeline`: upgraded by the control plane's own code, saved before by PostgreSQL's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from local.errors import PipelineError, last_words
from local.home.environment import for_parts
from local.home.setting import Setting

# What the command ends with when PostgreSQL does not answer.
NOT_REACHED = 2


def upgrade(setting: Setting, pg_dump: Path) -> None:
    """Brings the schema to this code's version; a database that holds something is saved before and that is printed.

    Raises:
        PipelineError: its schema is newer than this code, it could not be saved, or an upgrade failed: it is as it was.
    """
    done = _ask(setting, "--save-in", str(setting.places.dumps), "--pg-dump", str(pg_dump))
    if done.returncode != 0:
        raise PipelineError(last_words(done))
    print(done.stdout, end="", flush=True)


def refuse_newer(setting: Setting) -> None:
    """Raises PipelineError when a newer version of this code has upgraded the home; says nothing while it is down."""
    done = _ask(setting, "--check")
    if done.returncode not in (0, NOT_REACHED):
        raise PipelineError(last_words(done))


def _ask(setting: Setting, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **for_parts(os.environ),
        "AIRFLOW_CONN_PIPELINE_DB": setting.database_url("pipeline"),
        "PYTHONPATH": str(setting.places.repository / "plugins"),
    }
    command = [sys.executable, "-m", "upbit_lake.state.upgrade", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
