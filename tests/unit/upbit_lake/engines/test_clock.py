"""A wait looks at least once, ends with what it saw last, and pauses as it was asked to."""

from __future__ import annotations

from tests.twins.clock import HandClock
from upbit_lake.engines.clock import wait_until


def test_a_wait_ends_with_the_first_look_that_is_accepted() -> None:
    clock, looks = HandClock(), iter([1, 2, 3, 4])
    assert wait_until(lambda: next(looks), lambda seen: seen == 3, 60, 0.5, clock) == 3
    assert clock.slept == [0.5, 0.5]


def test_a_wait_that_is_over_gives_its_last_look() -> None:
    clock = HandClock(1000.0)
    assert wait_until(clock.now, lambda _: False, 2, 1, clock) == 1003.0
    assert clock.slept == [1, 1, 1]


def test_a_wait_without_time_looks_once() -> None:
    clock, looks = HandClock(), []
    wait_until(lambda: looks.append(1), lambda _: False, -1, 1, clock)
    assert (looks, clock.slept) == ([1], [])


def test_pauses_grow_up_to_the_longest() -> None:
    clock = HandClock()
    wait_until(lambda: None, lambda _: False, 4, 0.5, clock, slower=2.0, poll_max_s=1.5)
    assert clock.slept == [0.5, 1.0, 1.5, 1.5]
