"""A budget allows, delays, ends, and recovers with time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from upbit_lake.contract.model import Budget
from upbit_lake.supervise.budget import Allowed, Exhausted, Wait, decide, wait_before

BUDGET = Budget(restarts=5, window_s=3600, first_wait_s=15, max_wait_s=100)


def test_the_first_restart_is_immediate() -> None:
    assert decide([], BUDGET, now=1000.0) == Allowed(1)


def test_waits_double_up_to_their_bound() -> None:
    assert [wait_before(number, BUDGET) for number in range(1, 8)] == [0, 15, 30, 60, 100, 100, 100]


def test_a_restart_within_the_back_off_waits() -> None:
    assert decide([1000.0, 1020.0], BUDGET, now=1049.0) == Wait(until=1050.0, number=3)
    assert decide([1000.0, 1020.0], BUDGET, now=1050.0) == Allowed(3)


def test_the_budget_ends_and_comes_back() -> None:
    restarts = [1000.0, 1100.0, 1200.0, 1300.0, 1500.0]
    assert decide(restarts, BUDGET, now=2000.0) == Exhausted(5, until=4600.0)
    assert decide(restarts, BUDGET, now=4601.0) == Allowed(5)


def test_no_restart_allowed_means_exhausted() -> None:
    assert decide([], Budget(0, 60, 0, 0), now=10.0) == Exhausted(0, until=70.0)


def test_a_clock_set_back_frees_nothing() -> None:
    assert isinstance(decide([5000.0] * 5, BUDGET, now=1000.0), Exhausted)


@given(st.lists(st.floats(0, 1e9), max_size=50), st.floats(0, 1e9))
def test_never_more_restarts_than_the_budget_within_its_window(restarts: list[float], now: float) -> None:
    counted = [at for at in restarts if now - at < BUDGET.window_s]
    if len(counted) >= BUDGET.restarts:
        assert isinstance(decide(restarts, BUDGET, now), Exhausted)
    else:
        assert not isinstance(decide(restarts, BUDGET, now), Exhausted)


@given(st.integers(1, 10_000))
def test_a_wait_never_exceeds_its_bound(number: int) -> None:
    assert 0 <= wait_before(number, BUDGET) <= BUDGET.max_wait_s
