"""The columns of a lake table as `sql/tables/<table>.sql` declares them: what the checks of its rows are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from upbit_lake.contract.model import Contract
from upbit_lake.contract.sql_files import SqlFileError

_COLUMN = re.compile(r"`?(?P<name>\w+)`?\s+(?P<type>.+?)(?P<required>\s+NOT\s+NULL)?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Column:
    """A column: name, SQL type in capitals without line breaks, and whether it must never be NULL."""

    name: str
    type: str
    required: bool

    @property
    def total(self) -> str:
        """An aggregate that changes with the column's content: an exact sum for numbers, else the count of values."""
        if self.type.startswith(("DECIMAL", "BIGINT", "INT")):
            return f'sum(CAST("{self.name}" AS DECIMAL(38, {_scale(self.type)})))'
        return f'count("{self.name}")'


@dataclass(frozen=True)
class TableColumns:
    """A table's columns and primary key, in their declared order."""

    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def identity(self) -> tuple[str, ...]:
        """The key without the partition: what must stand in one hour only."""
        return tuple(name for name in self.key if name not in ("dt", "hh"))


def table_columns(contract: Contract, table: str) -> TableColumns:
    """Read the declaration of `table`; raises SqlFileError when it cannot be understood."""
    path = contract.root / "sql" / "tables" / f"{table}.sql"
    try:
        return parse_table(table, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SqlFileError(f"{path}: cannot be read ({error.strerror})") from None


def parse_table(table: str, text: str) -> TableColumns:
    """The columns of a CREATE TABLE statement; raises SqlFileError."""
    code = re.sub(r"--[^\n]*", "", text)
    body = re.search(r"CREATE\s+TABLE[^(]*\((.*)\)\s*PARTITIONED", code, re.IGNORECASE | re.DOTALL)
    key = re.search(r"PRIMARY\s+KEY\s*\(([^)]*)\)", code, re.IGNORECASE)
    if not body or not key:
        raise SqlFileError(f"sql/tables/{table}.sql: no CREATE TABLE … (…) PARTITIONED BY with a PRIMARY KEY")
    parts = [part.strip() for part in _split(body.group(1))]
    columns = tuple(_column(table, part) for part in parts if not part.upper().startswith("PRIMARY KEY"))
    return TableColumns(table, columns, tuple(name.strip(" `") for name in key.group(1).split(",")))


def _column(table: str, text: str) -> Column:
    match = _COLUMN.fullmatch(text)
    if not match:
        raise SqlFileError(f"sql/tables/{table}.sql: {text!r} is not a column")
    kind = re.sub(r"\s+", " ", match["type"]).upper()
    return Column(match["name"], kind, match["required"] is not None)


def _scale(kind: str) -> int:
    match = re.search(r",\s*(\d+)\)", kind)
    return int(match.group(1)) if match else 0


def _split(text: str) -> list[str]:
    """Split at the commas outside of any bracket."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char in "(<") - (char in ")>")
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]
