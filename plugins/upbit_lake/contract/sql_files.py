"""SQL from files: fill `${NAME}` strictly, split into the statements that the SQL gateway takes one by one."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from pathlib import Path

import sqlparse

from upbit_lake.contract.model import Contract
from upbit_lake.contract.settings import Settings


class SqlFileError(ValueError):
    """A SQL file cannot be used. One line: which file, what is missing."""


class RawSql(str):
    """A value that is inserted as it is (a number list, an identifier); plain text has its quotes doubled."""


class _Braces(string.Template):
    # Only ${NAME}: a bare $ is part of Paimon's system tables (`trade$snapshots`).
    pattern = r"""
        \$\{(?P<braced>[A-Z][A-Z0-9_]*)\} | (?P<escaped>(?!)) | (?P<named>(?!)) | (?P<invalid>\$\{)
    """  # type: ignore[assignment]


def render(text: str, variables: Mapping[str, str], source: str = "SQL") -> str:
    """Fill each `${NAME}` of `text`; raises SqlFileError for a name without a value or a broken placeholder."""
    values = {
        name: value if isinstance(value, RawSql) else value.replace("'", "''") for name, value in variables.items()
    }
    try:
        return _Braces(text).substitute(values)
    except KeyError as error:
        raise SqlFileError(f"{source}: no value for ${{{error.args[0]}}}; pass it when rendering") from None
    except ValueError as error:
        raise SqlFileError(f"{source}: broken placeholder, write ${{NAME}} ({error})") from None


def split_statements(text: str) -> list[str]:
    """The statements of `text` without their closing `;`. EXECUTE STATEMENT SET BEGIN … END stays one statement."""
    statements: list[str] = []
    open_set: list[str] = []
    for piece in sqlparse.split(text):
        if open_set or re.match(r"EXECUTE\s+STATEMENT\s+SET\b", _code(piece), re.IGNORECASE):
            open_set.append(piece)
            if not re.search(r"\bEND\s*;?\s*$", _code(piece), re.IGNORECASE):
                continue
            piece = "\n".join(open_set)
            open_set = []
        _append(statements, piece)
    if open_set:
        raise SqlFileError("SQL: EXECUTE STATEMENT SET has no END")
    return statements


def load_statements(path: Path, variables: Mapping[str, str]) -> list[str]:
    """Read, fill and split the file at `path`; raises SqlFileError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SqlFileError(f"{path}: cannot be read ({error.strerror})") from None
    return split_statements(render(text, variables, source=path.name))


def sql_variables(contract: Contract, settings: Settings) -> dict[str, str]:
    """The variables that every SQL file may use: catalog, warehouse, Kafka, topics, bounds of the contract."""
    topics = {f"TOPIC_{stream.sql_name.upper()}": stream.topic for stream in contract.streams.values()}
    return topics | {
        "TOPIC_DEAD_LETTER": contract.dead_letter.topic,
        # Passwords stand in Flink's own configuration (jaas.conf, pgpass): none in SQL, jobs and their UI.
        "CATALOG_JDBC_URL": settings.catalog_jdbc_url,
        "CATALOG_USER": settings.catalog_user,
        "WAREHOUSE": contract.lake.warehouse,
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "KAFKA_SECURITY_PROTOCOL": settings.kafka.security_protocol,
        "KAFKA_SASL_MECHANISM": settings.kafka.sasl_mechanism,
        "SNAPSHOT_MAX_AGE_MS": str(contract.lake.snapshot_max_age_s * 1000),
        "SNAPSHOT_RETENTION_H": str(contract.hours.snapshot_retention_h),
        "TARGET_FILE_SIZE_MB": str(contract.hours.target_file_size_mb),
    }


def _code(piece: str) -> str:
    return str(sqlparse.format(piece, strip_comments=True)).strip()


def _append(statements: list[str], piece: str) -> None:
    if _code(piece).rstrip("; \n\t"):
        statements.append(re.sub(r";\s*$", "", piece.strip()))
