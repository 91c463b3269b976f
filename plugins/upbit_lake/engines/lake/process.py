"""Reads the lake with pypaimon-rust, another implementation than the writer, in a process of its own.

`python -m upbit_lake query` is its way in for people; `reader.LakeReader` runs this module, gives it a request on stdin
and takes Arrow streams.

Why a process: the library starts threads and refuses to work after a fork (ForkSafetyError); Airflow forks its tasks.
Reading only: a write through this catalog takes no lock and can lose the commits of others, so it is refused.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import IO, Any

from upbit_lake.contract.model import Lake

CATALOG = "lake"
MEMORY_BYTES = 1 << 30
CELL_WIDTH = 80
READING = {"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "VALUES"}
# A literal, a quoted name, a comment: none of them can hold a keyword.
_NO_CODE = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)
_WRITING = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|INTO|TRUNCATE|DROP|CREATE|ALTER)\b", re.IGNORECASE)


class LakeQueryError(RuntimeError):
    """The query cannot be answered. One line: what is wrong."""


def check_reading(sql: str) -> None:
    """Refuse what does not only read; raises LakeQueryError."""
    code = _NO_CODE.sub(lambda piece: " " if piece.group(0).startswith(("--", "/*")) else " x ", sql)
    words = re.findall(r"\w+", code)
    if not words:
        raise LakeQueryError("the query is empty; try: SELECT count(*) FROM trade")
    writing = _WRITING.search(code)
    if words[0].upper() not in READING or writing:
        word = writing.group(1) if writing else words[0]
        raise LakeQueryError(f"{word.upper()} is not possible here: the lake is read only (write with ./pipeline sql)")


def catalog_options(environment: Mapping[str, str], warehouse: str) -> dict[str, str]:
    """The reader's catalog on `warehouse` with the S3 access of the environment (`S3_*`)."""
    return {
        "warehouse": warehouse,
        "s3.endpoint": environment.get("S3_ENDPOINT") or "http://127.0.0.1:18333",
        "s3.access-key": environment.get("S3_ACCESS_KEY", ""),
        "s3.secret-key": environment.get("S3_SECRET_KEY", ""),
        "s3.region": environment.get("S3_REGION") or "us-east-1",
        "s3.path-style-access": "true",
    }


def open_lake(options: Mapping[str, str], database: str) -> Any:
    """A DataFusion context in which `trade`, `upbit.trade` and `lake.upbit.trade` are the same table."""
    from pypaimon_rust.datafusion import SQLContext

    context = SQLContext(memory_pool_type="greedy", memory_pool_bytes=MEMORY_BYTES)
    # "" = look at no database now; any name here would be created in the warehouse when it is missing.
    context.register_catalog(CATALOG, dict(options), "")
    context.set_current_catalog(CATALOG)
    context.set_current_database(database)
    return context


def run(context: Any, sql: str) -> list[Any]:
    """The record batches of one reading statement; raises LakeQueryError with one line."""
    check_reading(sql)
    try:
        return list(context.sql(sql))
    except Exception as error:
        raise LakeQueryError(one_line(str(error))) from None


def one_line(message: str, width: int = 400) -> str:
    """The telling part of the library's message, without its layers and line breaks."""
    line = " ".join(message.split())
    layers = r"^(?:(?:External error|Error during planning|Execution error|Arrow error|Schema error|SQL error): )+"
    line = re.sub(layers, "", line)
    if "onnection refused" in line or "error sending request" in line.lower():
        line = f"the S3 store does not answer; is the pipeline up? ({line})"
    if re.match(r"table '.*' not found", line):
        line += "; SHOW TABLES lists them, and an empty list means that the S3 store does not answer or holds no lake"
    return line if len(line) <= width else line[: width - 1] + "…"


def answer(request: Mapping[str, Any], out: IO[bytes]) -> None:
    """Run `request["queries"]` in order and write one Arrow IPC stream each; raises LakeQueryError."""
    import pyarrow as pa

    context = open_lake(request["catalog"], request["database"])
    for sql in request["queries"]:
        batches = run(context, sql)
        table = pa.Table.from_batches(batches) if batches else pa.table({})
        with pa.ipc.new_stream(out, table.schema) as stream:
            stream.write_table(table)


def plain(value: Any) -> Any:
    """A value as JSON can hold it: decimals as text (exact), times as ISO 8601 in UTC, bytes as text or hex."""
    if isinstance(value, Decimal):
        return format(value, "f")
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


def print_answer(lake: Lake, environment: Mapping[str, str], sql: str, form: str, out: IO[str]) -> None:
    """Print the rows of a reading statement (see `print_rows`), S3 access by `environment`; raises LakeQueryError."""
    context = open_lake(catalog_options(environment, lake.warehouse), lake.database)
    batches = run(context, sql)
    names = batches[0].schema.names if batches else _names(context, sql)
    print_rows(names, list(rows_of(batches)), form, out)


def _names(context: Any, sql: str) -> list[str]:
    """The columns of an answer without rows, from the plan."""
    try:
        return [row["column_name"] for row in rows_of(run(context, f"DESCRIBE {sql}"))]
    except LakeQueryError:
        return []  # SHOW and the like cannot be described; nothing is lost, there are no rows


def main() -> int:
    """Answer the request on stdin; an error is one line on stderr and code 1."""
    try:
        answer(json.load(sys.stdin), sys.stdout.buffer)
    except (LakeQueryError, ValueError) as error:
        print(f"query: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
