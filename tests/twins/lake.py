"""The lake's reader in memory: a test says what it answers. tests/contract holds it against the real one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

Rows = list[dict[str, Any]]


def no_rows(_: str) -> Rows:
    """The answer of an empty lake."""
    return []


@dataclass
class LakeTwin:
    """A LakeReader that answers a statement by `answer`, which raises LakeQueryError for what it cannot."""

    answer: Callable[[str], Rows] = no_rows
    asked: list[str] = field(default_factory=list)

    def query(self, sql: str, timeout_s: float = 0.0) -> pa.Table:
        return self.query_all([sql], timeout_s)[0]

    def rows(self, sql: str, timeout_s: float = 0.0) -> Rows:
        found: Rows = self.query(sql, timeout_s).to_pylist()
        return found

    def query_all(self, queries: Sequence[str], timeout_s: float = 0.0) -> list[pa.Table]:  # noqa: ARG002 (at once)
        self.asked += queries
        return [pa.Table.from_pylist(self.answer(sql)) for sql in queries]
