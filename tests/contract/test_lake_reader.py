"""The lake's reader: answers in order, rows as dictionaries, errors in one line. The real one reads a local lake."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.twins.lake import LakeTwin, Rows
from upbit_lake.engines.lake.process import LakeQueryError
from upbit_lake.engines.lake.reader import LakeReader, ProcessReader

ANSWERS: dict[str, Rows] = {
    "SELECT 1 AS a UNION ALL SELECT 2 ORDER BY a": [{"a": 1}, {"a": 2}],
    "SELECT 'x' AS b WHERE false": [],
    "SELECT CAST('1.50' AS DECIMAL(10, 2)) AS c": [{"c": Decimal("1.50")}],
}


def answered(sql: str) -> Rows:
    if sql not in ANSWERS:
        raise LakeQueryError(f"table of {sql!r} not found")
    return ANSWERS[sql]


@pytest.fixture(params=["twin", "real"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> LakeReader:
    if request.param == "twin":
        return LakeTwin(answered)
    (tmp_path / "upbit.db").mkdir()
    return ProcessReader({"warehouse": str(tmp_path)}, "lake", "upbit")


def test_answers_come_in_the_order_of_the_questions(reader: LakeReader) -> None:
    assert [answer.to_pylist() for answer in reader.query_all(list(ANSWERS))] == list(ANSWERS.values())


def test_rows_are_the_answer_as_dictionaries(reader: LakeReader) -> None:
    for sql, rows in ANSWERS.items():
        assert reader.rows(sql) == reader.query(sql).to_pylist() == rows


def test_one_bad_question_spoils_all(reader: LakeReader) -> None:
    with pytest.raises(LakeQueryError, match="not found") as error:
        reader.query_all([*ANSWERS, "SELECT * FROM nosuch"])
    assert "\n" not in str(error.value)
