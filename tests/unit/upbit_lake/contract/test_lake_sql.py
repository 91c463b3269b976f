"""The queries of the lake's reader are made from the contract."""

from __future__ import annotations

import re

from upbit_lake.contract.lake_sql import status_query
from upbit_lake.contract.reader import load_contract


def test_a_named_query_that_names_a_table_asks_all_of_the_contract() -> None:
    contract = load_contract()
    pieces = status_query(contract, "rows").split("UNION ALL\n")
    assert [re.findall(r"FROM (\w+)", piece) for piece in pieces] == [[table] for table in contract.tables]
    assert "UNION" not in status_query(contract, "newest_candles")
