"""Back-off and pace, with a clock and a chance of the test's own."""

from hypothesis import given
from hypothesis import strategies as st

from upbit_ingester.backoff import Backoff, stated_wait_s
from upbit_ingester.upbit.budgets import Pace


def test_ceilings_double_up_to_thirty_seconds() -> None:
    backoff = Backoff(lambda: 0.999999)
    assert [round(backoff.next_s()) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_full_jitter_reaches_down_to_zero() -> None:
    backoff = Backoff(lambda: 0.0)
    assert [backoff.next_s() for _ in range(3)] == [0.0, 0.0, 0.0]


def test_reset_begins_again() -> None:
    backoff = Backoff(lambda: 0.5)
    for _ in range(10):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() == 0.5


def test_no_limit_of_attempts() -> None:
    backoff = Backoff(lambda: 1.0)
    waits = [backoff.next_s() for _ in range(5000)]
    assert waits[-1] == 30.0


@given(st.lists(st.floats(0, 2), min_size=6, max_size=60))
def test_never_more_than_five_starts_in_a_second(waits: list[float]) -> None:
    pace, now, starts = Pace(5, 1.0), 1000.0, []
    for wait in waits:
        now += wait
        starts.append(now + pace.reserve(now))
        now = starts[-1]
    assert all(later - earlier >= 1.0 - 1e-9 for earlier, later in zip(starts, starts[5:], strict=False))


def test_simultaneous_reservations_queue_up() -> None:
    pace = Pace(5, 1.0)
    assert [pace.reserve(0.0) for _ in range(12)] == [0.0] * 5 + [1.0] * 5 + [2.0] * 2


def test_refusals_state_how_long_to_stay_away() -> None:
    assert stated_wait_s(429, {"Retry-After": "7"}, "") == 7.0
    assert stated_wait_s(429, {}, "Too many API requests.") == 1.0
    assert stated_wait_s(418, {}, "blocked for 120 seconds") == 120.0
    assert stated_wait_s(418, {}, "I'm a teapot") == 60.0
    assert stated_wait_s(418, {"Retry-After": "99999999"}, "") == 3600.0
    assert stated_wait_s(503, {"Retry-After": "7"}, "") == 0.0
