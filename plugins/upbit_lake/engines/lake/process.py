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
from collections.abc import Mapping
from typing import IO, Any

from upbit_lake.contract.settings import S3Access

# Beside the other processes of a task; a window of the audit sorts two columns of 4 M rows in it.
MEMORY_BYTES = 1 << 30
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


def catalog_options(access: S3Access, warehouse: str) -> dict[str, str]:
    """The reader's catalog on `warehouse` with this access to the store."""
    return {
        "warehouse": warehouse,
        "s3.endpoint": access.endpoint,
        "s3.access-key": access.access_key,
        "s3.secret-key": access.secret_key,
        "s3.region": access.region,
        "s3.path-style-access": "true",
    }


def open_lake(options: Mapping[str, str], catalog: str, database: str) -> Any:
    """A DataFusion context in which `trade`, `upbit.trade` and `lake.upbit.trade` are the same table."""
    from pypaimon_rust.datafusion import SQLContext

    context = SQLContext(memory_pool_type="greedy", memory_pool_bytes=MEMORY_BYTES)
    # "" = look at no database now; any name here would be created in the warehouse when it is missing.
    context.register_catalog(catalog, dict(options), "")
    context.set_current_catalog(catalog)
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

    context = open_lake(request["options"], request["catalog"], request["database"])
    for sql in request["queries"]:
        batches = run(context, sql)
        table = pa.Table.from_batches(batches) if batches else pa.table({})
        with pa.ipc.new_stream(out, table.schema) as stream:
            stream.write_table(table)


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
