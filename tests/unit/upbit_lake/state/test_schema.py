"""The numbered files of the control database's schema, and how a database without a version is recognised."""

from __future__ import annotations

import re

import pytest

from upbit_lake.engines.postgres import SQL
from upbit_lake.state.schema import FOLDER, UNRECORDED, SchemaError, migrations, refuse_newer, unrecorded_version

CONTROL, VERDICTS = UNRECORDED


def test_the_files_are_numbered_without_a_hole() -> None:
    found = migrations(FOLDER)
    assert [step.number for step in found] == list(range(1, len(found) + 1))
    assert sorted(FOLDER.iterdir()) == [step.path for step in found]


def test_no_file_leaves_its_transaction_or_depends_on_what_is_there() -> None:
    for path in SQL.rglob("*.sql"):
        code = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
        assert not re.search(r"\b(IF\s+(NOT\s+)?EXISTS|BEGIN|COMMIT|ROLLBACK|CONCURRENTLY)\b", code, re.IGNORECASE), (
            path
        )


def test_the_first_files_make_the_tables_by_which_a_database_without_version_is_recognised() -> None:
    made = [
        set(re.findall(r"CREATE TABLE (\w+)", step.path.read_text(encoding="utf-8"))) for step in migrations(FOLDER)
    ]
    assert made[:3] == [CONTROL, VERDICTS, {"schema_version"}]


@pytest.mark.parametrize(
    ("tables", "version"), [(set(), 0), ({"another"}, 0), (CONTROL, 1), (CONTROL | VERDICTS | {"another"}, 2)]
)
def test_a_database_without_version_is_recognised_by_its_tables(tables: set[str], version: int) -> None:
    assert unrecorded_version(set(tables)) == version


@pytest.mark.parametrize("lacking", sorted(CONTROL | VERDICTS))
def test_a_database_that_lacks_a_table_is_refused_by_its_name(lacking: str) -> None:
    with pytest.raises(SchemaError, match=rf"it has no {lacking}: "):
        unrecorded_version(set(CONTROL | VERDICTS) - {lacking})


def test_only_a_newer_schema_is_refused() -> None:
    refuse_newer(0, 4)
    refuse_newer(4, 4)
    with pytest.raises(SchemaError, match=r"has schema 5, this code knows 4: update this code"):
        refuse_newer(5, 4)
