"""The reader: reading only, exact values, one-line errors, the three output forms."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

from upbit_lake.engines.lake.printing import print_rows
from upbit_lake.engines.lake.process import LakeQueryError, check_reading, one_line
from upbit_lake.engines.lake.reader import PLUGINS, ProcessReader

NINE_MS = 1_795_424_400_000
TRADE = ("2026-11-23", "09", "KRW-BTC", 11, NINE_MS, "103460000.12345678", "0.00000001", 0, 0)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO trade VALUES (1)",
        "EXPLAIN ANALYZE INSERT INTO trade SELECT * FROM trade",
        "drop table trade",
        "/* x */ delete from trade",
        "WITH a AS (SELECT 1) INSERT INTO trade SELECT * FROM a",
        "SET x = 1",
        "",
        "-- nothing",
    ],
)
def test_what_does_not_only_read_is_refused(sql: str) -> None:
    with pytest.raises(LakeQueryError):
        check_reading(sql)


@pytest.mark.parametrize(
    "sql",
    ["SELECT 'insert into x'", 'SELECT 1 AS "delete"', "-- drop it\nSELECT 1", "WITH a AS (SELECT 1) SELECT * FROM a"],
)
def test_words_that_are_no_code_are_no_writes(sql: str) -> None:
    check_reading(sql)


def test_a_refused_write_changes_nothing(lake: Any) -> None:
    lake.trades([TRADE])
    with pytest.raises(LakeQueryError, match="read only"):
        lake.reader.query("EXPLAIN ANALYZE INSERT INTO trade SELECT * FROM trade")
    assert lake.reader.rows('SELECT count(*) AS n FROM "trade$snapshots"') == [{"n": 1}]


@pytest.mark.parametrize("name", ["trade", "upbit.trade", "lake.upbit.trade"])
def test_a_table_has_three_names(lake: Any, name: str) -> None:
    lake.trades([TRADE])
    [row] = lake.reader.rows(f"SELECT trade_price, trade_price * trade_volume AS value FROM {name}")
    assert row == {"trade_price": Decimal("103460000.12345678"), "value": Decimal("1.0346000012345678")}


def test_one_process_answers_many_queries(lake: Any) -> None:
    tables = lake.reader.query_all(["SELECT 1 AS a", "SELECT 2 AS b WHERE false", "SELECT 3 AS c"])
    assert [table.to_pylist() for table in tables] == [[{"a": 1}], [], [{"c": 3}]]


def test_errors_are_one_line(lake: Any) -> None:
    with pytest.raises(LakeQueryError, match=r"'lake\.upbit\.nosuch' not found") as error:
        lake.reader.query("SELECT * FROM nosuch")
    assert "\n" not in str(error.value)


def test_reading_a_missing_warehouse_creates_nothing(tmp_path: Any) -> None:
    with pytest.raises(LakeQueryError):
        ProcessReader({"warehouse": str(tmp_path / "none")}, "lake", "upbit").query("SELECT * FROM trade")
    assert list(tmp_path.iterdir()) == []


def test_layers_of_messages_are_cut() -> None:
    assert one_line("External error: Arrow error: bad\n thing") == "bad thing"


ROWS: list[dict[str, Any]] = [
    {"code": "KRW-BTC", "price": "103460000.12345678", "n": 1},
    {"code": "A,B", "price": None, "n": 20},
]


def test_csv_has_a_header_and_quotes() -> None:
    out = io.StringIO()
    print_rows(["code", "price", "n"], ROWS, "csv", out)
    assert list(csv.reader(io.StringIO(out.getvalue()))) == [
        ["code", "price", "n"],
        ["KRW-BTC", "103460000.12345678", "1"],
        ["A,B", "", "20"],
    ]


def test_json_keeps_every_digit() -> None:
    out = io.StringIO()
    print_rows(["code", "price", "n"], ROWS, "json", out)
    assert json.loads(out.getvalue())[0]["price"] == "103460000.12345678"


def test_the_table_lines_numbers_up() -> None:
    out = io.StringIO()
    print_rows(["code", "n"], [{"code": "x", "n": 5}, {"code": "y", "n": 500}], "table", out)
    assert out.getvalue().splitlines() == ["code  n", "----  ---", "x       5", "y     500", "(2 rows)"]


def test_the_command_line_says_one_line_without_a_lake() -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(PLUGINS),
        "S3_ENDPOINT": "http://127.0.0.1:9",
        "S3_ACCESS_KEY": "a",
        "S3_SECRET_KEY": "b",
    }
    done = subprocess.run(
        [sys.executable, "-m", "upbit_lake", "query", "SELECT * FROM trade"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("query: ")
    assert done.stderr.count("\n") == 1
