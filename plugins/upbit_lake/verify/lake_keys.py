"""Looks up single keys in the lake: which of them are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from upbit_lake.contract.columns import table_columns
from upbit_lake.contract.lake_sql import verify_sql
from upbit_lake.contract.model import Contract
from upbit_lake.contract.sql_files import RawSql
from upbit_lake.engines.lake.reader import LakeReader
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.partitions import hour_filter
from upbit_lake.verify.expected import Stored


class LakeKeys:
    """Key look-ups in one table, each in the hour that the key belongs to."""

    def __init__(self, contract: Contract, table: str, reader: LakeReader) -> None:
        self._contract = contract
        self._table = table
        self._reader = reader
        columns = table_columns(contract, table)
        self._names = columns.identity
        self._types = {column.name: column.type for column in columns.columns}

    def present(self, wanted: Iterable[Stored]) -> set[Stored]:
        """Those of `wanted` that their hour holds; raises LakeQueryError."""
        by_hour: dict[Hour, list[Stored]] = defaultdict(list)
        for item in dict.fromkeys(wanted):
            by_hour[item.hour].append(item)
        queries = [self._query(hour, items) for hour, items in by_hour.items()]
        answers = self._reader.query_all(queries) if queries else []
        return {
            items[row["id"]]
            for items, answer in zip(by_hour.values(), answers, strict=True)
            for row in answer.to_pylist()
        }

    def dead_lettered(self, topic: str, places: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
        """Those of the (partition, offset) of `topic` that stand in the dead letters."""
        if not places:
            return set()
        terms = " OR ".join(f'("partition" = {partition} AND "offset" = {offset})' for partition, offset in places)
        query = verify_sql(
            self._contract,
            "dead_letters_present",
            dead_letter=RawSql(self._contract.dead_letter.table),
            topic=topic,
            places=RawSql(terms),
        )
        return {(row["partition"], row["offset"]) for row in self._reader.rows(query)}

    def _query(self, hour: Hour, items: Sequence[Stored]) -> str:
        rows = (
            f"({index}, {', '.join(map(self._literal, self._names, item.key))})" for index, item in enumerate(items)
        )
        names = [f'"{name}"' for name in self._names]
        return verify_sql(
            self._contract,
            "keys_present",
            table=RawSql(self._table),
            wanted=RawSql(", ".join(rows)),
            key=RawSql(", ".join(names)),
            hours=hour_filter([hour]),
            same_key=RawSql(" AND ".join(f"wanted.{name} = held.{name}" for name in names)),
        )

    def _literal(self, name: str, value: Any) -> str:
        if isinstance(value, Decimal):
            return f"CAST('{value:f}' AS {self._types[name]})"
        if isinstance(value, int):
            return f"CAST({value} AS BIGINT)"
        text = str(value).replace("'", "''")
        return f"'{text}'"
