"""The control plane's view of the lake: exact, merged by key, without Flink. See `process` for how it reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from upbit_lake.contract.model import Contract
from upbit_lake.contract.settings import Settings
from upbit_lake.engines.lake.process import LakeQueryError, catalog_options

PLUGINS = Path(__file__).resolve().parents[3]
# 2.5 M rows are counted in 1.7 s; a run asks for some dozens of hours at once, within its task's 50 minutes.
TIMEOUT_S = 600.0


class LakeReader(Protocol):
    """Who answers reading statements about the lake.

    SQL is DataFusion's, with `FROM t VERSION AS OF <snapshot>`, `"t$snapshots"`, `"t$files"`, `"t$partitions"`.
    """

    def query(self, sql: str, timeout_s: float = TIMEOUT_S) -> pa.Table:
        """The reader returns the answer of one statement, which may lack its columns when it has no row.

        Raises:
            LakeQueryError: it cannot be answered, or not within `timeout_s` seconds.
        """

    def rows(self, sql: str, timeout_s: float = TIMEOUT_S) -> list[dict[str, Any]]:
        """The reader returns `query` as dictionaries: decimals exact, times as datetime in UTC."""

    def query_all(self, queries: Sequence[str], timeout_s: float = TIMEOUT_S) -> list[pa.Table]:
        """The reader returns the answers of `queries` in their order.

        Raises:
            LakeQueryError: one of them cannot be answered, or all together not within `timeout_s` seconds.
        """


@dataclass(frozen=True)
class ProcessReader:
    """Reads the tables of `catalog`.`database` below the warehouse that `options` (of the Rust reader) name."""

    options: Mapping[str, str] = field(repr=False)
    catalog: str
    database: str

    @classmethod
    def connect(cls, contract: Contract, settings: Settings) -> ProcessReader:
        """A reader of the pipeline's lake; nothing is contacted yet."""
        lake = contract.lake
        return cls(catalog_options(settings.s3, lake.warehouse), lake.catalog, lake.database)

    def query(self, sql: str, timeout_s: float = TIMEOUT_S) -> pa.Table:
        """The answer of one reading statement; raises LakeQueryError. An empty answer may lack its columns."""
        return self.query_all([sql], timeout_s)[0]

    def rows(self, sql: str, timeout_s: float = TIMEOUT_S) -> list[dict[str, Any]]:
        """`query` as dictionaries: decimals exact, times as datetime in UTC."""
        rows: list[dict[str, Any]] = self.query(sql, timeout_s).to_pylist()
        return rows

    def query_all(self, queries: Sequence[str], timeout_s: float = TIMEOUT_S) -> list[pa.Table]:
        """Answer `queries` in order in one process (start ≈ 0.3 s).

        Raises:
            LakeQueryError: one of them cannot be answered, or all together did not end within `timeout_s`.
        """
        request = {
            "options": dict(self.options),
            "catalog": self.catalog,
            "database": self.database,
            "queries": list(queries),
        }
        path = os.pathsep.join(filter(None, [str(PLUGINS), os.environ.get("PYTHONPATH")]))
        try:
            done = subprocess.run(
                [sys.executable, "-m", "upbit_lake.engines.lake.process"],
                input=json.dumps(request).encode(),
                capture_output=True,
                timeout=timeout_s,
                env={**os.environ, "PYTHONPATH": path},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LakeQueryError(f"the lake did not answer within {timeout_s:.0f} s") from None
        if done.returncode:
            raise LakeQueryError(_reason(done.stderr, done.returncode))
        source = pa.BufferReader(done.stdout)
        return [pa.ipc.open_stream(source).read_all() for _ in queries]


def _reason(stderr: bytes, code: int) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].removeprefix("query: ") if lines else f"the reader ended with code {code} and said nothing"
