"""Number spelling against Java's rules (as Python's Decimal shares them) and against raw texts of the wire."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upbit_exchange.wire import spelling
from upbit_exchange.wire.spelling import UNIT

sizes = st.integers(min_value=0, max_value=10**17)


@given(st.integers(min_value=-(10**20), max_value=10**20), st.sampled_from([8, 10, 16]))
def test_big_decimal_is_the_text_of_a_scaled_decimal(unscaled: int, scale: int) -> None:
    assert spelling.big_decimal(unscaled, scale) == str(Decimal(unscaled).scaleb(-scale))


@given(sizes)
def test_every_spelling_keeps_the_value(units: int) -> None:
    for spell in (spelling.decimal8, spelling.fixed8, spelling.stripped, spelling.dotted, spelling.java_double):
        assert spelling.units(spell(units)) == units


@given(sizes, st.integers(min_value=1, max_value=10**17))
def test_products_keep_every_digit(price: int, volume: int) -> None:
    sign, digits, exponent = Decimal(spelling.product(price * volume)).as_tuple()
    assert sign == 0
    assert int("".join(map(str, digits))) * 10 ** (16 + int(exponent)) == price * volume


@pytest.mark.parametrize(
    ("units", "text"),
    [
        (116_539_000 * UNIT, "1.16539E8"),
        (3_426_000 * UNIT, "3426000.0"),
        (79276, "7.9276E-4"),
        (50000, "5.0E-4"),
        (6288509, "0.06288509"),
        (100_000_000 * UNIT, "1.0E8"),
        (10_000_000 * UNIT, "1.0E7"),
        (9_999_999 * UNIT, "9999999.0"),
        (100_000, "0.001"),
    ],
)
def test_java_double_texts_of_the_wire(units: int, text: str) -> None:
    assert spelling.java_double(units) == text


@pytest.mark.parametrize(
    ("units", "text"),
    [
        (77720, "0.00077720"),
        (6, "6E-8"),
        (99, "9.9E-7"),
        (113, "0.00000113"),
        (123 * UNIT, "123.00000000"),
        (0, "0E-8"),
    ],
)
def test_scale_8_texts_of_the_wire(units: int, text: str) -> None:
    assert spelling.decimal8(units) == text


def test_other_texts_of_the_wire() -> None:
    assert spelling.dotted(127 * UNIT) == "127.0"
    assert spelling.dotted(113) == "0.00000113"
    assert spelling.stripped(31_883_000 * UNIT) == "31883000"
    assert spelling.fixed8(-56_000 * UNIT) == "-56000.00000000"
    assert spelling.fixed8(5485) == "0.00005485"
    assert spelling.product(7_803_926_107_651_241 * 10**11) == "78039261076.51241000"
    assert spelling.product(7_803_926_107_651_241) == "0.7803926107651241"


def test_rates_of_the_wire() -> None:
    assert spelling.rate(404_000 * UNIT, 31_883_000 * UNIT) == "0.0126713295"
    assert spelling.rate(-1_043_000 * UNIT, 102_417_000 * UNIT) == "-0.0101838562"
    assert spelling.rate(0, 5 * UNIT) == "0E-10"


def test_more_than_eight_decimals_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 8 decimals"):
        spelling.units("0.123456789")
