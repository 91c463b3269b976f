"""Prints an answer of the lake for people and scripts: a table, JSON or CSV, with every digit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import IO, Any

from upbit_lake.contract.model import Lake
from upbit_lake.contract.settings import S3Access
from upbit_lake.engines.lake.process import LakeQueryError, catalog_options, open_lake, run

CELL_WIDTH = 80


def plain(value: Any) -> Any:
    """A value as JSON can hold it: decimals as text (exact), times as ISO 8601 in UTC, bytes as text or hex."""
    if isinstance(value, Decimal):
        return format(value, "f")
    # Before `date`, which a datetime is too.
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return "0x" + value.hex()


def rows_of(batches: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """The rows of record batches as dictionaries of plain values (`plain`)."""
    for batch in batches:
        for row in _microseconds(batch).to_pylist():
            yield {key: plain(value) for key, value in row.items()}


def _microseconds(batch: Any) -> Any:
    """Nanoseconds do not fit Python's datetime; the lake's own times are milliseconds."""
    import pyarrow as pa

    for index, column in enumerate(batch.schema):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            values = batch.column(index).cast(pa.timestamp("us", tz=column.type.tz), safe=False)
            batch = batch.set_column(index, column.name, values)
    return batch


def print_rows(names: Sequence[str], rows: list[dict[str, Any]], form: str, out: IO[str]) -> None:
    """Print `rows` as `table`, `json` (an array; decimals as text) or `csv` (with a header line)."""
    if form == "json":
        json.dump(rows, out, ensure_ascii=False, indent=1)
        out.write("\n")
        return
    cells = [[_cell(row[name]) for name in names] for row in rows]
    if form == "csv":
        import csv

        csv.writer(out, lineterminator="\n").writerows([names, *cells])
        return
    _print_table(names, rows, cells, out)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def _print_table(names: Sequence[str], rows: list[dict[str, Any]], cells: list[list[str]], out: IO[str]) -> None:
    short = [[cell if len(cell) <= CELL_WIDTH else cell[: CELL_WIDTH - 1] + "…" for cell in line] for line in cells]
    widths = [max(len(line[index]) for line in [list(names), *short]) for index in range(len(names))]
    numeric = [bool(rows) and all(_is_number(row[name]) for row in rows) for name in names]
    header = "  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True))
    lines = [header.rstrip(), "  ".join("-" * width for width in widths)]
    for line in short:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    out.write("\n".join([*lines, f"({len(rows)} row{'' if len(rows) == 1 else 's'})"]) + "\n")


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"-?\d+\.\d+", value) is not None
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def print_answer(lake: Lake, access: S3Access, sql: str, form: str, out: IO[str]) -> None:
    """Print the rows of a reading statement (see `print_rows`); raises LakeQueryError."""
    context = open_lake(catalog_options(access, lake.warehouse), lake.catalog, lake.database)
    batches = run(context, sql)
    names = batches[0].schema.names if batches else _names(context, sql)
    print_rows(names, list(rows_of(batches)), form, out)


def _names(context: Any, sql: str) -> list[str]:
    """The columns of an answer without rows, from the plan."""
    try:
        return [row["column_name"] for row in rows_of(run(context, f"DESCRIBE {sql}"))]
    except LakeQueryError:
        return []  # SHOW and the like cannot be described; nothing is lost, there are no rows
