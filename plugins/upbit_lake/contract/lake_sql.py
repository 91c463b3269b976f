"""The queries of the lake's reader (DataFusion) in `sql/lake`, filled."""

from __future__ import annotations

from upbit_lake.contract.model import Contract
from upbit_lake.contract.sql_files import RawSql, SqlFileError, render


def verify_sql(contract: Contract, name: str, **values: str | RawSql) -> str:
    """The query `sql/lake/verify/<name>.sql` with its `${NAME}` filled; raises SqlFileError."""
    return lake_sql(contract, f"verify/{name}", **values)


def lake_sql(contract: Contract, name: str, **values: str | RawSql) -> str:
    """The query `sql/lake/<name>.sql` with its `${NAME}` filled; raises SqlFileError."""
    path = contract.root / "sql" / "lake" / f"{name}.sql"
    return render(path.read_text(encoding="utf-8"), {key.upper(): value for key, value in values.items()}, path.name)


def version(snapshot: int | None) -> RawSql:
    """The time-travel clause of `snapshot`, empty for the newest."""
    return RawSql("" if snapshot is None else f"VERSION AS OF {snapshot}")


def status_query(contract: Contract, name: str) -> str:
    """The query `sql/lake/status/<name>.sql`; one that names `${TABLE}` asks every table of the contract.

    Raises:
        SqlFileError: there is no such file, or it has another placeholder.
    """
    path = contract.root / "sql" / "lake" / "status" / f"{name}.sql"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SqlFileError(f"{path}: cannot be read ({error.strerror})") from None
    tables = contract.tables if "${TABLE}" in text else [""]
    return "UNION ALL\n".join(render(text, {"TABLE": RawSql(table)}, path.name) for table in tables)
