from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from local.arguments import parse
from local.errors import PipelineError

REPOSITORY = Path(__file__).resolve().parents[3]


def test_up_and_its_options() -> None:
    options = parse(["up", "--source", "file:a b", "--speed", "12", "--only", "kafka, s3,"])
    assert (options.command, options.source, options.speed) == ("up", "file:a b", 12.0)
    assert options.only == ("kafka", "s3")


def test_bench_and_its_options() -> None:
    options = parse(["bench", "ingester", "--rates", "1000, 5000", "--no-peer"])
    assert (options.what, options.rates, options.peer, options.output) == ("ingester", (1000, 5000), False, None)


def test_everything_after_sql_goes_to_the_client() -> None:
    assert parse(["sql", "-f", "a.sql", "--verbose"]).arguments == ["-f", "a.sql", "--verbose"]
    assert parse(["sql"]).arguments == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["upp"], "invalid choice: 'upp'"),
        (["up", "--speed", "fast"], "'fast' is not a number"),
        (["up", "--sauce", "live"], "up does not know --sauce"),
        (["up", "--sour", "live"], "up does not know --sour"),
        (["query"], "required: sql"),
        (["query", "SELECT 1", "--format", "xml"], "invalid choice: 'xml'"),
        (["test", "everything"], "invalid choice: 'everything'"),
        (["bench"], "required: what"),
        (["bench", "ingester", "--seconds", "0"], "'0' is not a whole number above 0"),
        (["bench", "ingester", "--rates", "1000,fast"], "'fast' is not a whole number above 0"),
        (["down", "now"], "down does not know now"),
    ],
)
def test_a_wrong_command_line_is_one_line_with_a_way_on(arguments: list[str], said: str) -> None:
    with pytest.raises(PipelineError) as refused:
        parse(arguments)
    assert said in str(refused.value)
    assert "--help" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--help"], 0), (["up", "--help"], 0)])
def test_help_works_before_anything_is_installed(tmp_path: Path, arguments: list[str], code: int) -> None:
    environment = {"PYTHONPATH": str(REPOSITORY), "PIPELINE_PARTS": str(tmp_path / "p"), "PIPELINE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-S", "-m", "local", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert "usage: ./pipeline" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
