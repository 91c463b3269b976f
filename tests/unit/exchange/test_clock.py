"""The clock and the settings, with a wall of our own."""

from pathlib import Path

import pytest

from upbit_exchange import settings
from upbit_exchange.clock import ExchangeClock
from upbit_exchange.settings import SettingsError

NOW = 1_790_000_000_000


class Wall:
    def __init__(self, ms: float = NOW) -> None:
        self.ms = ms

    def __call__(self) -> float:
        return self.ms


def test_it_stands_until_let_go_then_runs_fast_and_never_passes_real_time() -> None:
    wall = Wall()
    clock = ExchangeClock(wall, NOW - 120_000, speed=12)
    wall.ms += 5_000
    assert (clock.running, clock.now_ms()) == (False, NOW - 120_000)
    clock.let_go()
    wall.ms += 1_000
    assert clock.now_ms() == NOW - 120_000 + 12_000
    clock.let_go()
    assert clock.now_ms() == NOW - 120_000 + 12_000
    wall.ms += 60_000
    assert clock.now_ms() == wall.ms
    wall.ms += 500
    assert clock.now_ms() == wall.ms


def test_without_a_start_it_is_real_time() -> None:
    wall = Wall()
    clock = ExchangeClock(wall, None, speed=1)
    wall.ms += 700
    assert clock.now_ms() == NOW + 700
    clock.let_go()
    wall.ms += 300
    assert clock.now_ms() == NOW + 1000


def test_a_wall_that_is_set_back_does_not_turn_the_clock_before_its_start() -> None:
    wall = Wall()
    clock = ExchangeClock(wall, NOW - 120_000, speed=2)
    clock.let_go()
    wall.ms -= 1_000
    assert clock.now_ms() == NOW - 120_000


def load(*arguments: str, **environment: str) -> settings.Settings:
    return settings.load(arguments, environment, NOW)


def test_settings_by_option_and_by_environment() -> None:
    given = load("--ledger", "d", "--codes", "40", EXCHANGE_CODES="7", EXCHANGE_START="2026-01-02T03:04:05Z")
    assert (given.codes, given.ledger, given.port, given.rate, given.rate_limit) == (40, Path("d"), 18070, 300, True)
    assert given.start_ms == 1_767_323_045_000
    assert load(EXCHANGE_LEDGER="d", EXCHANGE_CODES="7").codes == 7
    assert not load("--no-rate-limit", EXCHANGE_LEDGER="d").rate_limit
    assert not load(EXCHANGE_LEDGER="d", EXCHANGE_RATE_LIMIT="false").rate_limit
    assert load(EXCHANGE_LEDGER="d", EXCHANGE_START="").start_ms is None
    assert load(EXCHANGE_LEDGER="d").rest_lag == 3
    assert load("--rest-lag", "0", EXCHANGE_LEDGER="d").rest_lag == 0


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ((), "--ledger DIR is missing"),
        (("--ledger", "d", "--codes", "0"), "--codes: '0' is not a number from 1 to 2000"),
        (("--ledger", "d", "--codes", "many"), "'many' is not a number"),
        (("--ledger", "d", "--speed", "nan"), "'nan' is not a number"),
        (("--ledger", "d", "--start", "yesterday"), "'yesterday' is not an ISO time"),
        (("--ledger", "d", "--start", "2099-01-01"), "future"),
        (("--ledger", "d", "--trade-prices", "roman"), "none of plain, double, fixed"),
        (("--check",), "--check needs --replay"),
        (("--ledger", "d", "--sped", "2"), "--sped"),
    ],
)
def test_nonsense_is_refused_in_one_line(arguments: tuple[str, ...], hint: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(*arguments)
    assert hint in str(refused.value)
    assert "\n" not in str(refused.value)
