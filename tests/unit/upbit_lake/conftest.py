"""A small real lake on the local disk: Paimon tables as sql/tables declares them, written by the Rust library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pypaimon_rust.datafusion import SQLContext

from upbit_lake.contract.model import Contract
from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.sql_files import load_statements
from upbit_lake.engines.lake.reader import ProcessReader

# 2026-11-23T09:00:00Z
NINE_MS = 1_795_424_400_000


class LocalLake:
    """The five tables below `warehouse`; `reader` is the production reader on them."""

    def __init__(self, warehouse: Path, contract: Contract) -> None:
        self._context = SQLContext()
        self._context.register_catalog("lake", {"warehouse": str(warehouse)}, "upbit")
        self._context.set_current_catalog("lake")
        self._context.set_current_database("upbit")
        self.reader = ProcessReader({"warehouse": str(warehouse)}, "lake", "upbit")
        variables = {"TARGET_FILE_SIZE_MB": "128", "SNAPSHOT_RETENTION_H": "24"}
        for table in contract.tables:
            (ddl,) = load_statements(contract.root / "sql" / "tables" / f"{table}.sql", variables)
            self.sql(_as_datafusion(ddl))

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Run any statement, writes included."""
        return [row for batch in self._context.sql(statement) for row in batch.to_pylist()]

    def trades(self, trades: Iterable[Sequence[Any]]) -> None:
        """Write trades (dt, hh, code, sequential_id, trade_timestamp, price, volume, partition, offset) at once."""
        columns = (
            "dt, hh, code, sequential_id, trade_timestamp, trade_price, trade_volume, kafka_partition, kafka_offset, "
            "ask_bid, stream_type, source, received_at"
        )
        rows = ", ".join(
            f"('{dt}', '{hh}', '{code}', {sid}, {ms}, CAST({price} AS DECIMAL(17,8)), CAST({volume} AS DECIMAL(20,8)),"
            f" {partition}, {offset}, 'BID', 'REALTIME', 'ws', to_timestamp_millis({ms}))"
            for dt, hh, code, sid, ms, price, volume, partition, offset in trades
        )
        self.sql(f"INSERT INTO upbit.trade ({columns}) VALUES {rows}")

    def exact_candles(self, dt: str, hh: str) -> None:
        """Candles of an hour from its trades, as the hourly pass writes them."""
        self.sql(f"""
            INSERT INTO upbit.candle_1m
            SELECT dt, hh, code, arrow_cast(trade_timestamp - trade_timestamp % 60000, 'Timestamp(Millisecond, None)'),
              first_value(trade_price ORDER BY trade_timestamp, sequential_id), max(trade_price), min(trade_price),
              last_value(trade_price ORDER BY trade_timestamp, sequential_id), sum(trade_volume),
              sum(trade_price * trade_volume), count(*), 1
            FROM upbit.trade WHERE dt = '{dt}' AND hh = '{hh}'
            GROUP BY dt, hh, code, trade_timestamp - trade_timestamp % 60000""")


def _as_datafusion(ddl: str) -> str:
    ddl = re.sub(r"--[^\n]*", "", ddl).replace("lake.upbit.", "upbit.").strip().rstrip(";")
    for flink, datafusion in (
        ("TIMESTAMP_LTZ(3)", "TIMESTAMP(3) WITH TIME ZONE"),
        ("NOT ENFORCED", ""),
        ("ROW<", "STRUCT<"),
    ):
        ddl = ddl.replace(flink, datafusion)
    return ddl


@pytest.fixture
def contract() -> Contract:
    return load_contract()


@pytest.fixture
def lake(tmp_path: Path, contract: Contract) -> LocalLake:
    warehouse = tmp_path / "warehouse"
    warehouse.mkdir()
    return LocalLake(warehouse, contract)
