"""SQL files are filled strictly and split into the statements that the gateway takes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import KafkaLogin, Settings
from upbit_lake.contract.sql_files import (
    RawSql,
    SqlFileError,
    load_statements,
    render,
    split_statements,
    sql_variables,
)
from upbit_lake.engines.flink.session import Startup, source_statements
from upbit_lake.engines.kafka.offsets import GROUP_PREFIX

SETTINGS = Settings.from_environment({"S3_ACCESS_KEY": "k", "S3_SECRET_KEY": "s"})
STATEMENT_SET = (
    "EXECUTE STATEMENT SET\nBEGIN\nINSERT INTO a SELECT 1;\nINSERT INTO b SELECT CASE WHEN x THEN 1 END FROM c;\nEND;"
)


def test_a_missing_variable_is_one_line() -> None:
    with pytest.raises(SqlFileError, match=r"^x\.sql: no value for \$\{NAME\}"):
        render("SELECT ${NAME}", {}, "x.sql")


@pytest.mark.parametrize("text", ["${", "${A B}", "${1}"])
def test_a_broken_placeholder_is_refused(text: str) -> None:
    with pytest.raises(SqlFileError, match="broken placeholder"):
        render(text, {"A": "1"})


def test_system_tables_keep_their_dollar() -> None:
    assert render("SELECT * FROM `trade$snapshots` -- $NAME $$", {"NAME": "x"}) == (
        "SELECT * FROM `trade$snapshots` -- $NAME $$"
    )


def test_quotes_are_doubled_unless_raw() -> None:
    assert render("'${A}' ${B}", {"A": "it's", "B": RawSql("'x'")}) == "'it''s' 'x'"


def test_a_statement_set_stays_one_statement() -> None:
    statements = split_statements(f"-- head; of file\nSET 'a' = 'b;c';\n{STATEMENT_SET}\n\nSELECT ';';\n-- tail\n")
    assert [statement.split()[0] for statement in statements] == ["--", "EXECUTE", "SELECT"]
    assert statements[0].endswith("SET 'a' = 'b;c'")
    assert statements[1].endswith("END")
    assert statements[1].count("INSERT") == 2


def test_a_statement_set_without_end_is_refused() -> None:
    with pytest.raises(SqlFileError, match="no END"):
        split_statements("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;")


def test_each_job_s_file_gives_exactly_one_job() -> None:
    contract = load_contract()
    for job in contract.jobs.values():
        statements = load_statements(contract.root / job.sql, sql_variables(contract, SETTINGS))
        starts = [statement for statement in statements if "INSERT INTO" in statement]
        assert len(starts) == 1, job.name
        assert statements[-1] is starts[0]


def test_sources_start_where_the_startup_says() -> None:
    statements = source_statements(load_contract(), SETTINGS, Startup("timestamp", 1234))
    trade = next(statement for statement in statements if "kafka_trade (" in statement)
    assert "'scan.startup.mode' = 'timestamp'" in trade
    assert "'scan.startup.timestamp-millis' = '1234'" in trade
    dead_letter = next(statement for statement in statements if "kafka_dead_letter (" in statement)
    assert "'scan.startup.mode' = 'earliest-offset'" in dead_letter


def test_every_table_of_the_contract_is_created_by_its_file() -> None:
    contract = load_contract()
    for table in contract.tables:
        (ddl,) = load_statements(contract.root / "sql" / "tables" / f"{table}.sql", sql_variables(contract, SETTINGS))
        assert f"CREATE TABLE IF NOT EXISTS {contract.lake.catalog}.{contract.lake.database}.{table} (" in ddl


def test_the_tables_take_their_bounds_from_the_contract() -> None:
    contract = load_contract()
    bounds = replace(contract.hours, snapshot_retention_h=7, target_file_size_mb=9)
    variables = sql_variables(replace(contract, hours=bounds), SETTINGS)
    for table in contract.tables:
        (ddl,) = load_statements(contract.root / "sql" / "tables" / f"{table}.sql", variables)
        assert "'snapshot.time-retained' = '7 h'" in ddl
        assert "'target-file-size' = '9mb'" in ddl


def test_the_sources_name_the_kind_of_login_and_never_the_password() -> None:
    login = KafkaLogin("k:1", "SASL_PLAINTEXT", "SCRAM-SHA-512", "airflow", "hidden")
    contract = load_contract()
    statements = source_statements(contract, replace(SETTINGS, kafka=login), Startup())
    assert len(statements) == len(contract.streams) + 1
    for statement in statements:
        assert "'properties.security.protocol' = 'SASL_PLAINTEXT'" in statement
        assert "'properties.sasl.mechanism' = 'SCRAM-SHA-512'" in statement
        assert "hidden" not in statement


def test_flink_is_allowed_to_read_every_group_that_a_source_names() -> None:
    for statement in source_statements(load_contract(), SETTINGS, Startup()):
        (group,) = re.findall(r"'properties.group.id' = '([^']+)'", statement)
        assert group.startswith(GROUP_PREFIX)
