"""Numbers are judged by their text; the truth is Python's Decimal over all spellings."""

import re
from decimal import ROUND_DOWN, Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upbit_ingester.gate.frames import STREAMS
from upbit_ingester.gate.numbers import DecimalColumn, usual_pattern

PRICE = DecimalColumn(17, 8)


def fits_by_decimal(text: str, precision: int, scale: int) -> bool:
    with localcontext(Context(prec=400, Emax=10**6, Emin=-(10**6))):
        value = abs(Decimal(text))
        kept = value.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_DOWN)
        return kept == value and value < Decimal(10) ** (precision - scale)


@pytest.mark.parametrize(
    "text",
    ["1.16539E8", "6E-8", "9.9E-7", "0.00077720", "127.0", "103460000.00000000", "999999999.99999999", "0", "-0.0",
     "0E-30", "1.5000000000000000", "8.428e-05", "100000000E-16", "0.00000001", "-63000.0", "1E8"],
)  # fmt: skip
def test_what_fits(text: str) -> None:
    assert PRICE.misfit(text.encode()) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1000000000", "'1000000000' has 10 digits before the point, the column takes 9"),
        ("1E9", "'1E9' has 10 digits before the point, the column takes 9"),
        ("0.123456789", "'0.123456789' has 9 decimals, the column takes 8"),
        ("6E-9", "'6E-9' has 9 decimals, the column takes 8"),
        ("1.5E-8", "'1.5E-8' has 9 decimals, the column takes 8"),
        ("1e99999999999", "'1e99999999999' has an absurd exponent"),
        ('"1.5"', "'\"1.5\"' is not a number"),
        ("true", "'true' is not a number"),
        ("NaN", "'NaN' is not a number"),
        ("1_000", "'1_000' is not a number"),
        ("", "'' is not a number"),
    ],
)
def test_what_does_not(text: str, reason: str) -> None:
    assert PRICE.misfit(text.encode()) == reason


@st.composite
def json_numbers(draw: st.DrawFn) -> str:
    integer = draw(st.integers(0, 10**14))
    fraction = draw(st.none() | st.text("0123456789", min_size=1, max_size=14))
    exponent = draw(st.none() | st.integers(-25, 25))
    sign = draw(st.sampled_from(["", "-"]))
    letter = draw(st.sampled_from(["e", "E", "E+"])) if exponent is not None and exponent >= 0 else "E"
    digits = f"{sign}{integer}" if fraction is None else f"{sign}{integer}.{fraction}"
    return digits if exponent is None else f"{digits}{letter}{exponent}"


@given(json_numbers(), st.sampled_from([(17, 8), (20, 8), (24, 8), (20, 10), (38, 16)]))
def test_agrees_with_decimal(text: str, width: tuple[int, int]) -> None:
    column = DecimalColumn(*width)
    assert (column.misfit(text.encode()) is None) == fits_by_decimal(text, *width)


WIDTHS = [spec.widths for spec in STREAMS.values()] + [spec.rows.widths for spec in STREAMS.values() if spec.rows]


@pytest.mark.parametrize("width", sorted({width for widths in WIDTHS for width in widths.values()}))
def test_agrees_with_decimal_on_every_short_spelling_with_an_exponent(width: tuple[int, int]) -> None:
    """The usual spellings lie here: Java doubles and BigDecimals."""
    column = DecimalColumn(*width)
    mantissas = ["0", "-0", "0.0", "1", "9", "10", *("9." + "9" * digits for digits in range(1, 12)), "1.0", "1.50"]
    for text in (f"{mantissa}E{power}" for mantissa in mantissas for power in range(-13, 14)):
        assert (column.misfit(text.encode()) is None) == fits_by_decimal(text, *width), text


@given(st.from_regex(r"(?a)-?[0-9]{1,12}(\.[0-9]{0,10}0{0,6})?", fullmatch=True), st.sampled_from([(17, 8), (20, 10)]))
def test_the_possessive_pattern_takes_what_the_plain_one_takes(text: str, width: tuple[int, int]) -> None:
    precision, scale = width
    plain = rf"-?(?:0|[1-9][0-9]{{0,{precision - scale - 1}}})(?:\.[0-9]{{1,{scale}}}0*)?"
    ours = re.fullmatch(usual_pattern(*width), text.encode("utf-8"))
    assert bool(ours) == bool(re.fullmatch(plain, text, re.ASCII))
