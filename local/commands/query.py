"""Reads the lake with the Rust reader, in Airflow's environment, where it is installed."""

from __future__ import annotations

import json
import os
import subprocess
from string import Template
from typing import Any

from local.errors import PipelineError, last_words
from local.home.environment import for_parts
from local.home.setting import Setting


def command(setting: Setting, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Argument vector and environment of one call of the reader."""
    python = str(setting.places.python("airflow"))
    environment = {
        **for_parts(os.environ),
        **setting.service_environment,
        "PYTHONPATH": str(setting.places.repository / "plugins"),
    }
    return [python, "-m", "upbit_lake.engines.lake.process", *arguments], environment


def rows(setting: Setting, statement: str) -> list[dict[str, Any]]:
    """The rows of a query. Raises PipelineError with the reader's own line."""
    arguments, environment = command(setting, "--format", "json", statement)
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PipelineError(last_words(done))
    return list(json.loads(done.stdout))


def render(setting: Setting, name: str, **values: str) -> str:
    """The text of sql/lake/status/NAME.sql with its braces filled."""
    folder = setting.places.repository / "sql" / "lake" / "status"
    return Template((folder / f"{name}.sql").read_text()).substitute(values)


def rows_by_table(setting: Setting) -> dict[str, int]:
    """Row counts of the tables; {} as long as there is no lake."""
    try:
        return {row["name"]: int(row["n"]) for row in rows(setting, render(setting, "rows"))}
    except PipelineError:
        return {}
