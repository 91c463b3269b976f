"""How many files a full compaction promises to leave."""

from __future__ import annotations

from typing import Any

import pytest

from upbit_lake.hours.layout import file_problem

TARGET = 128 << 20
MB = 1 << 20


@pytest.mark.parametrize(
    ("megabytes", "files", "kept"),
    [
        (0.2, 1, True),
        (89, 1, True),
        (0.2, 2, False),
        (89, 2, False),
        # What Paimon 2.0.0 was seen to leave at this target: 1 | 128 | 1 (a large file stays as it is) …
        (130, 3, True),
        (130, 4, False),
        # … and one file above the target, written before the compaction.
        (374, 1, True),
    ],
)
def test_promised_files(megabytes: float, files: int, kept: bool) -> None:
    buckets: list[dict[str, Any]] = [
        {"bucket": 0, "bytes": MB, "files": 1},
        {"bucket": 1, "bytes": megabytes * MB, "files": files},
    ]
    assert (file_problem(buckets, TARGET) is None) is kept


def test_files_that_were_rolled_early_are_as_promised() -> None:
    # Measured at a target of 8 MB: 5.8 + 6.2 + 1.7.
    assert file_problem([{"bucket": 0, "bytes": int(13.7 * MB), "files": 3}], 8 * MB) is None
