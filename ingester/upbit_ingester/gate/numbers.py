"""A DECIMAL(precision, scale) column takes a number, as spelled in JSON, without losing a digit, or says why not.

Judged from the text: a float would round before it is judged. What counts is the value's digits, not the spelling:
`1.16539E8`, `6E-8` and `103460000.00000000` are all usual, and zeros beyond the scale carry nothing.
"""

import re
from decimal import Decimal

_JSON_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_EXPONENT_MAX_DIGITS = 6  # beyond, Decimal itself overflows; no price has such an exponent
LONGEST_NUMBER = 1000  # characters; Jackson, which reads the frame in Flink, drops a record with a longer one


def usual_pattern(precision: int, scale: int) -> bytes:
    """A regular expression for the usual spellings of what fits DECIMAL(precision, scale).

    Plain; as a Java double from 10,000,000 on (`1.16539E8`) or below 0.001 (`7.9276E-4`, `5.0E-4`); as a BigDecimal
    below 0.000001 (`6E-8`, `0E-8`). For columns with 9 digits or more before the point and 8 or more after it, as all
    of the lake's are.
    """
    # Possessive throughout: 30 levels of numbers that end in zeros would otherwise be tried in every division.
    # No spelling of the exchange has so many zeros: a longer one is looked at alone, for the text's length too.
    plain = rb"(?:0|[1-9][0-9]{0,%d}+)(?:\.[0-9]{1,%d}+0{0,40}+)?+" % (precision - scale - 1, scale)
    large = rb"[1-9](?:\.[0-9]{1,%d}+)?+E[78]" % scale
    small = rb"|".join(rb"[1-9]\.[0-9]{1,%d}+E-%d" % (scale - power, power) for power in range(4, 8))
    return rb"-?+(?:" + rb"|".join((plain, large, small, rb"[1-9]\.0E-8", rb"[0-9]E-8", rb"0E-10")) + rb")"


class DecimalColumn:
    """One DECIMAL column's width, with the quick test for the usual spellings compiled once."""

    __slots__ = ("precision", "quick", "scale")

    def __init__(self, precision: int, scale: int) -> None:
        self.precision = precision
        self.scale = scale
        self.quick = re.compile(usual_pattern(precision, scale)).fullmatch

    def misfit(self, text: bytes) -> str | None:
        """The reason why `text` does not fit, or None when it fits. Exact for every spelling that JSON allows."""
        if self.quick(text):
            return None
        if not _JSON_NUMBER.fullmatch(text):
            return f"{_shown(text)} is not a number"
        if len(text) > LONGEST_NUMBER:
            return f"{_shown(text)} has {len(text)} characters, the SQL takes {LONGEST_NUMBER}"
        exponent = re.split(rb"[eE]", text)[-1] if b"e" in text.lower() else b""
        if len(exponent.strip(b"+-")) > _EXPONENT_MAX_DIGITS:
            return f"{_shown(text)} has an absurd exponent"
        return self._misfit_of_value(text)

    def _misfit_of_value(self, text: bytes) -> str | None:
        sign_digits_exponent = Decimal(text.decode("ascii")).as_tuple()
        digits = "".join(map(str, sign_digits_exponent.digits))
        significant = digits.rstrip("0")
        if not significant:
            return None  # zero, however spelled
        exponent = int(sign_digits_exponent.exponent) + len(digits) - len(significant)
        if -exponent > self.scale:
            return f"{_shown(text)} has {-exponent} decimals, the column takes {self.scale}"
        integer_digits = len(significant.lstrip("0")) + exponent
        if integer_digits > self.precision - self.scale:
            room = self.precision - self.scale
            return f"{_shown(text)} has {integer_digits} digits before the point, the column takes {room}"
        return None


def _shown(text: bytes) -> str:
    shown = text[:40].decode("utf-8", "replace")
    return f"{shown!r}…" if len(text) > 40 else f"{shown!r}"
