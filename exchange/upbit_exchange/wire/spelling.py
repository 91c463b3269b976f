"""Numbers are written as Upbit's servers write them, by exact fixed-point arithmetic without floats.

Every price and size inside the exchange is an integer of 10^-8 (`UNIT`), every product of two of them an integer of
10^-16. The text follows docs/upbit.md#numbers: a Java server that mixes `BigDecimal.toString` and `Double.toString`.
"""

from __future__ import annotations

from decimal import Decimal

UNIT = 10**8
PRODUCT = UNIT * UNIT
RATE_SCALE = 10


def big_decimal(unscaled: int, scale: int) -> str:
    """Text of Java's `new BigDecimal(unscaled, scale).toString()`: exponent only below 10^-6, zeros kept."""
    sign = "-" if unscaled < 0 else ""
    digits = str(abs(unscaled))
    exponent = len(digits) - 1 - scale
    if exponent < -6:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}E{exponent}"
    whole, fraction = divmod(abs(unscaled), 10**scale)
    return f"{sign}{whole}.{fraction:0{scale}d}"


def decimal8(units: int) -> str:
    """Scale 8 with its trailing zeros, as sizes and closing prices have it: `0.00077720`, `123.00000000`, `6E-8`."""
    if units >= 100:
        return f"{units // UNIT}.{units % UNIT:08d}"
    return big_decimal(units, 8)


def fixed8(units: int) -> str:
    """Scale 8, never an exponent: the spelling of REST trades and candles."""
    sign = "-" if units < 0 else ""
    whole, fraction = divmod(abs(units), UNIT)
    return f"{sign}{whole}.{fraction:08d}"


def product(units: int) -> str:
    """A price x volume sum (10^-16) with 8 decimals, or with all 16 where 8 would lose a digit."""
    whole, fraction = divmod(units, PRODUCT)
    if fraction % UNIT == 0:
        return f"{whole}.{fraction // UNIT:08d}"
    return f"{whole}.{fraction:016d}"


def stripped(units: int) -> str:
    """Plain text without trailing zeros: `31883000`, `12.3`."""
    whole, fraction = divmod(units, UNIT)
    if fraction == 0:
        return str(whole)
    return f"{whole}.{fraction:08d}".rstrip("0")


def dotted(units: int) -> str:
    """Plain text with at least one decimal: `109847000.0`, `0.00000113`."""
    text = stripped(units)
    return text if "." in text else text + ".0"


def java_double(units: int) -> str:
    """Text of Java's `Double.toString`: `1.16539E8`, `7.9276E-4`, `5.0E-4`, `0.06288509`."""
    if units == 0:
        return "0.0"
    digits = str(units)
    exponent = len(digits) - 9
    if -3 <= exponent < 7:
        return dotted(units)
    mantissa = digits[1:].rstrip("0") or "0"
    return f"{digits[0]}.{mantissa}E{exponent}"


def rate(change: int, base: int) -> str:
    """`change / base` with 10 decimals, half up, as `change_rate` has it."""
    if base == 0:
        return big_decimal(0, RATE_SCALE)
    quotient = (2 * abs(change) * 10**RATE_SCALE + base) // (2 * base)
    return big_decimal(-quotient if change < 0 else quotient, RATE_SCALE)


def units(text: str) -> int:
    """Any number text of the wire as an integer of 10^-8; ValueError where it has more decimals."""
    scaled = Decimal(text).scaleb(8)
    whole = int(scaled)
    if whole != scaled:
        raise ValueError(f"{text} has more than 8 decimals")
    return whole


def exact(text: str) -> Decimal:
    """Any number text of the wire as it is."""
    return Decimal(text)
