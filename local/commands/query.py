"""Reads the lake with the Rust reader, through the control plane's door."""

from __future__ import annotations

import json
import os
from typing import Any, NoReturn

from local import door
from local.errors import PipelineError
from local.home.setting import Setting

Rows = list[dict[str, Any]]


def print_rows(setting: Setting, statement: str, form: str) -> NoReturn:
    """Becomes the reader, which prints the answer as `form`: table, json or csv."""
    of_home = door.of_home(setting)
    os.execve(of_home.python, of_home.command("query", "--format", form, statement), dict(of_home.environment))


def rows(setting: Setting, statement: str) -> Rows:
    """The rows of a query. Raises PipelineError with the reader's own line."""
    return list(json.loads(door.of_home(setting).ask("query", "--format", "json", statement)))


def named_rows(setting: Setting, name: str) -> Rows:
    """The rows of the query sql/lake/status/NAME.sql. Raises PipelineError with the reader's own line."""
    return list(json.loads(door.of_home(setting).ask("query", "--format", "json", "--named", name)))


def rows_by_table(setting: Setting) -> dict[str, int]:
    """Row counts of the tables; {} as long as there is no lake."""
    try:
        return {row["name"]: int(row["n"]) for row in named_rows(setting, "rows")}
    except PipelineError:
        return {}
