"""The files that hold an hour, and the snapshots of its table: what a full compaction promises of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from upbit_lake.contract.lake_sql import verify_sql
from upbit_lake.contract.model import Contract
from upbit_lake.contract.sql_files import RawSql
from upbit_lake.engines.lake.reader import LakeReader

Row = Mapping[str, Any]
# Of the target size: Paimon's `compaction.small-file-ratio`; a larger file is not rewritten.
LARGE = 0.7


def newest_snapshots(reader: LakeReader, contract: Contract) -> dict[str, int | None]:
    """The newest snapshot of every table; None for a table that was never written."""
    queries = [verify_sql(contract, "newest_snapshot", table=RawSql(table)) for table in contract.tables]
    answers = reader.query_all(queries)
    return {table: answer.to_pylist()[0]["newest"] for table, answer in zip(contract.tables, answers, strict=True)}


def promised_files(bucket: Row, target_bytes: int) -> int:
    """The most files that a full compaction leaves in a bucket: one, as long as its bytes are well below the target.

    Above it ⌈bytes / target⌉ is not what Paimon promises: it closes a file by an estimate before compression (measured
    at a target of 8 MB: files of 5.8 and 6.2), and leaves a file of LARGE of the target as it is, so that one small
    file may stand before, between and after large ones (1 + 128 + 1 MB are three files).
    """
    return 2 * int(bucket["bytes"] / (LARGE * target_bytes)) + 1


def file_problem(buckets: Sequence[Row], target_bytes: int) -> str | None:
    """In words, when an hour has more files than promised after a full compaction."""
    worse = [item for item in buckets if item["files"] > promised_files(item, target_bytes)]
    words = (
        f"{item['files']} files in bucket {item['bucket']}, at most {promised_files(item, target_bytes)} promised"
        for item in worse
    )
    return "; ".join(words) or None


def is_changed(buckets: Iterable[Row]) -> bool:
    """Whether something was written since the last full compaction: writers write level 0, the compaction above."""
    return any(bucket["lowest_level"] == 0 for bucket in buckets)
