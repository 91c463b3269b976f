"""The fast path of the gate recognizes a frame that is spelled as Upbit spells nearly all of them.

True only if the frame certainly fits. False decides nothing: the gate then checks each value. A check of one value
costs 0.4 µs, and a ticker has thirty: here all values of a kind are checked together.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from upbit_ingester.gate.frames import Frame, StreamSpec
from upbit_ingester.gate.numbers import LONGEST_NUMBER, DecimalColumn

Values = tuple[Any, ...]

_PLAIN = b"0123456789.-,"
_SHAPE = bytes.maketrans(b"0123456789", b"0" * 10)


class FastPath:
    """The fast path knows the usual frames of one stream."""

    def __init__(self, spec: StreamSpec) -> None:
        fields, widths = msgspec.structs.fields(spec.struct), spec.widths
        places = {field.name: place for place, field in enumerate(fields)}
        self._columns = [
            _Columns(width, [places[name] for name, own in widths.items() if own == width])
            for width in dict.fromkeys(widths.values())
        ]
        checked = {*widths, spec.rows.field} if spec.rows else {*widths}
        texts = [field.name for field in fields if field.type is msgspec.Raw and field.name not in checked]
        self._texts = _taker(places[name] for name in texts)
        self._encoder = msgspec.json.Encoder()
        self._buffer = bytearray()

    def numbers(self, values: Values) -> bool:
        """True when every number that is there has no more digits than its column."""
        return all([columns.hold(values) for columns in self._columns])

    def texts(self, values: Values) -> bool:
        """True when what passes through as text holds no object, no array, and no number too long for the SQL."""
        text = b",".join(self._texts(values))
        return b"{" not in text and b"[" not in text and len(text) <= LONGEST_NUMBER

    def spelling(self, frame: Frame, data: bytes) -> bool:
        """True when `data` is what the frame's fields make: none unknown, none twice, the wire's order, no blanks."""
        self._encoder.encode_into(frame, self._buffer)
        return self._buffer == data


class _Columns:
    """All columns of one width; their numbers are well-formed JSON."""

    def __init__(self, width: tuple[int, int], places: list[int]) -> None:
        precision, scale = width
        self._take = _taker(places)
        self._quick = DecimalColumn(precision, scale).quick
        self._too_long = b"0" * (precision - scale + 1)
        self._too_fine = b"." + b"0" * (scale + 1)

    def hold(self, values: Values) -> bool:
        text = b",".join(self._take(values))
        odd = text.translate(None, _PLAIN)
        # A null or no number at all; a number with an exponent is looked at alone.
        if odd and (odd.strip(b"E") or not all(map(self._quick, [n for n in text.split(b",") if b"E" in n]))):
            return False
        shape = text.translate(_SHAPE)
        return self._too_long not in shape and self._too_fine not in shape


def _taker(places: Iterable[int]) -> Callable[[Values], Sequence[msgspec.Raw]]:
    """Takes the raw values at these places."""
    chosen = tuple(places)
    if len(chosen) < 2:
        return lambda values: [values[place] for place in chosen]
    return itemgetter(*chosen)
