"""A spool under any sequence of steps: what it was given leaves in order, acknowledged or dropped, and nothing else."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.unit.ingester.spool.spool_records import Clock, acknowledge, files, numbers, record
from upbit_ingester.spool import log as spools
from upbit_ingester.spool.log import Spool
from upbit_ingester.spool.segment import Entry

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 6)),
        st.tuples(st.just("send"), st.integers(1, 8)),
        st.tuples(st.just("acknowledge"), st.integers(0, 10)),
        st.tuples(st.just("fail"), st.just(0)),
        st.tuples(st.just("age"), st.just(0)),
        st.tuples(st.just("expire"), st.just(0)),
        st.tuples(st.just("kill"), st.just(0)),
    ),
    max_size=60,
)


class Model:
    """A spool under test, what is in flight of it, and what was acknowledged."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.clock = directory, Clock()
        self.spool = Spool(directory, self.clock, segment_bytes=300)
        self.next_number = 0
        self.in_flight: list[Entry] = []
        self.acknowledged: set[int] = set()
        self.dropped: set[int] = set()

    def append(self, count: int) -> None:
        self.spool.append([record(self.next_number + n) for n in range(count)])
        self.next_number += count

    def send(self, count: int) -> None:
        limit = len(self.in_flight) + count
        for entry in self.spool.unsent():
            if len(self.in_flight) >= limit:
                break
            self.spool.sent(entry)
            self.in_flight.append(entry)
        assert numbers(self.in_flight) == sorted(numbers(self.in_flight))

    def acknowledge(self, count: int) -> None:
        acknowledge(self.spool, self.in_flight[:count])
        self.acknowledged.update(numbers(self.in_flight[:count]))
        del self.in_flight[:count]

    def fail(self, _: int) -> None:
        self.in_flight.clear()
        self.spool.rewind()

    def age(self, _: int) -> None:
        self.clock.now_s += spools.SEGMENT_AGE_S
        self.spool.roll()

    def expire(self, _: int) -> None:
        for segment in self.spool.aged(spools.SEGMENT_AGE_S / 2):
            self.dropped.update(int(dict(left.headers)["frame"]) for left in segment.waiting())
            self.spool.discard(segment)

    def kill(self, _: int) -> None:
        self.in_flight.clear()
        self.spool = Spool(self.directory, self.clock, segment_bytes=300)


@given(STEPS)
@hypothesis_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_every_record_is_acknowledged_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    model = Model(tmp_path_factory.mktemp("spool"))
    for step, count in steps:
        getattr(model, step)(count)
    model.send(10**9)
    model.acknowledge(10**9)
    assert model.acknowledged | model.dropped == set(range(model.next_number))
    assert model.spool.unacknowledged == 0
    model.spool.close()
    assert files(model.directory) == []
