"""From which offsets a job without state reads again: where the lake ends, or the beginning when that is unsure."""

from __future__ import annotations

import pytest

from upbit_lake.engines.kafka.records import Retained
from upbit_lake.jobs.replay_point import frontier


@pytest.mark.parametrize(
    ("stored", "ranges", "offsets"),
    [
        ({0: 41, 1: 7}, {0: Retained(0, 100), 1: Retained(0, 8)}, {0: 41, 1: 7}),
        ({0: 41}, {0: Retained(0, 100), 1: Retained(0, 0)}, {0: 41}),
        ({0: 41}, {0: Retained(0, 100), 1: Retained(0, 8)}, None),  # nothing of partition 1 is stored
        ({0: 41}, {0: Retained(60, 100)}, None),  # the record is no longer retained
        ({0: 141}, {0: Retained(0, 100)}, None),  # the topic is another one
        ({}, {}, {}),
    ],
)
def test_the_replay_begins_where_the_lake_ends(
    stored: dict[int, int], ranges: dict[int, Retained], offsets: dict[int, int] | None
) -> None:
    assert frontier(stored, ranges) == offsets
