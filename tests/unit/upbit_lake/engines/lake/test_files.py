"""What the store says of a table, read from Paimon's own files."""

from __future__ import annotations

from upbit_lake.engines.lake.files import Snapshot, parse_snapshot


def test_a_snapshot_file_is_read() -> None:
    assert parse_snapshot('{"id": 7, "timeMillis": 9, "totalRecordCount": 11}') == Snapshot(7, 9, 11)
