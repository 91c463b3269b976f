"""The control plane's door: what other processes call, in a process of its own as they do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from upbit_lake.engines.lake.reader import PLUGINS

BROKEN = "[lake]\ncatalog = 1\n"


def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    seen = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PLUGINS), **environment}
    command = [sys.executable, "-m", "upbit_lake", *arguments]
    return subprocess.run(command, env=seen, capture_output=True, text=True, check=False)


def test_the_contract_is_judged_with_the_standard_library_alone() -> None:
    command = [sys.executable, "-S", "-m", "upbit_lake", "contract"]
    done = subprocess.run(command, env={"PYTHONPATH": str(PLUGINS)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_sql_init_prints_statements_that_a_client_can_run() -> None:
    done = call("sql-init", S3_ACCESS_KEY="a", S3_SECRET_KEY="b")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("CREATE CATALOG") for line in lines)
    assert lines[-2:] == ["USE CATALOG lake;", "USE upbit;"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("contract",), "lake.catalog: must be str"),
        (("query", "SELECT 1"), "query: lake.catalog: must be str"),
        (("query", "--named", "rows"), "query: lake.catalog: must be str"),
        (("access",), "lake.catalog: must be str"),
        (("status",), "lake.catalog: must be str"),
    ],
)
def test_a_broken_contract_is_one_line(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(BROKEN)
    done = call(*arguments, PIPELINE_CONTRACT=str(path))
    assert done.returncode == 1
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1


def test_a_control_database_that_is_not_named_or_does_not_answer_is_one_line() -> None:
    silent = "postgresql://a:b@127.0.0.1:1/c"
    for done, says in (
        (call("upgrade"), "AIRFLOW_CONN_PIPELINE_DB is not set"),
        (call("upgrade", AIRFLOW_CONN_PIPELINE_DB=silent), "the control database does not answer"),
    ):
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith(says)
    # Whoever only looks, looks at the rest of a home that is down.
    checked = call("upgrade", "--check", AIRFLOW_CONN_PIPELINE_DB=silent)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_missing_secret_is_one_line() -> None:
    done = call("sql-init")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "S3_ACCESS_KEY" in done.stderr


def test_a_look_without_a_control_database_is_one_line() -> None:
    done = call("status", S3_ACCESS_KEY="a", S3_SECRET_KEY="b")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("AIRFLOW_CONN_PIPELINE_DB is not set to postgresql://")


def test_a_query_has_one_text() -> None:
    for arguments in ((), ("--named", "rows", "SELECT 1")):
        done = call("query", *arguments)
        assert done.returncode == 2
        assert "--named" in done.stderr


def test_an_unknown_named_query_names_its_file() -> None:
    done = call("query", "--named", "nothing")
    assert done.returncode == 1
    assert done.stderr.startswith("query: ")
    assert "sql/lake/status/nothing.sql: cannot be read" in done.stderr
