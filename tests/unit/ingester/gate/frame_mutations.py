"""Frames as a broken, changed or hostile exchange might send them: real ones, changed by a seeded hand.

A frame is changed as a list of members whose names and values are raw bytes, so that spelling survives and nonsense
can be written; then, sometimes, as bytes. The same `Random` gives the same frames.
"""

from collections.abc import Callable
from random import Random

import msgspec

from tests.unit.ingester.sample_frames import ORDERBOOK, ORDERBOOK_PLAIN, TICKER, TRADE, TRADE_2021, TRADE_LIVE

Members = list[tuple[bytes, bytes]]  # (name as JSON text, value as JSON text)

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_levels = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


def _deep_book(levels: int) -> bytes:
    """A book of `levels` levels, as Upbit sends 30."""
    head, _, rest = ORDERBOOK_PLAIN.partition(b"[")
    level, tail = rest[: rest.index(b"}") + 1], rest[rest.index(b"]") :]
    return head + b"[" + b",".join([level] * levels) + tail


BASES: dict[str, tuple[bytes, ...]] = {
    "trade": (TRADE, TRADE_LIVE, TRADE_2021),
    "ticker": (TICKER,),
    # One deep book in eight: it costs ten times as much to judge twice.
    "orderbook": (*[ORDERBOOK, ORDERBOOK_PLAIN] * 3, ORDERBOOK, _deep_book(30)),
}

_CONTROLS = (
    b'{"status":"UP"}',
    b'{"error":{"name":"NO_TICKET","message":"x"}}',
    '{"error":{"message":"nope 은 지원하지 않는 타입입니다.","name":"INVALID_PARAM"}}'.encode(),
    b'{"error":{"name":"A\\u0000\\u001b[31m","message":"a\\nb\\u2028c"}}',
    b'{"error":{"name":400,"message":"x"}}',
    b'{"error":null}',
    b'{"status":"UP","type":"trade"}',
    b'{"method":"LIST_SUBSCRIPTIONS","result":[],"ticket":"x"}',
)

_NUMBERS = (
    b"0", b"-0", b"0.0", b"-1", b"1E8", b"1.16539E8", b"6E-8", b"6e-9", b"1e400", b"-1E400", b"1e-400", b"0e999999",
    b"1e9999999", b"1E99999999999999999999", b"0E-9999999", b"01", b"1.", b".5", b"+1", b"0x10", b"1_000", b"1e",
    b"999999999.99999999", b"1000000000", b"0.123456789", b"0.12345678000000000000", b"103460000.00000000",
    b"9" * 17, b"9" * 20, b"9" * 40, b"1" * 1001, b"1" * 5000, b"0." + b"0" * 1200 + b"1", b"1." + b"0" * 990,
    b"1." + b"0" * 1200, b"NaN", b"Infinity", b"-Infinity", b"1787728554797.0", b"1.787728554797E12",
)  # fmt: skip
_TIMES = (
    b"0", b"-1", b"1262303999999", b"1262304000000", b"4102444799999", b"4102444800000", b"1000000000000000",
    b"1000000000000001", b"1691530805062000", b"4102444799999999", b"4102444800000000", b"9007199254740993",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"17877285547970000.0", b"1.7E16",
)  # fmt: skip
_TEXTS = (
    b'""', b'"ASK"', b'"BID"', b'"BUY"', b'"SNAPSHOT"', b'"REALTIME"', b'"KRW-BTC"', b'"krw-btc"', b'"KRW-"',
    b'"KRW-BTC "', b'"KRW-BTC\\n"', b'"KRW-\\u0042TC"', b'"KRW-' + b"A" * 50 + b'"', '"비트-코인"'.encode(), b'"1.5"',
    b'"17877285547970000"', b'"NaN"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"a\\nb"',
    b'"a\nb"', b'"a\x00b"', b'"\x1b[31m"', b'"\\x41"', b'"\\u12"', b'"\xff\xfe"', b'"\xed\xa0\x80"',
    b'"\xc0\x80"', b'"a\\":b"', b'"trade"', b'"ticker"', b'"' + b"x" * 2000 + b'"', b'"unclosed', b"'single'",
)  # fmt: skip
_OTHERS = (
    b"null", b"true", b"false", b"[]", b"{}", b"[[]]", b'{"a":1,"a":2}', b'{"day":1,"month":2}', b"[1,2,]", b"", b"nul",
    b"undefined", b'[{"ask_price":1}]', b"[null]", b'["\\ud800"]', b'{"\\ud800":1}', b"[" * 50 + b"]" * 50,
    b'{"a":' * 40 + b"1" + b"}" * 40, b"[" * 1500 + b"]" * 1500, b"[" * 800,
)  # fmt: skip
_NAMES = (
    b'"x"', b'""', b'"Code"', '"한글"'.encode(), b'"\\u0063ode"', b'"trade_price "', b'"\\ud800"', b'"a\\":"',
    b'"ask_price"', b'"market"', b'"code"', b'"type"', b'"timestamp"', b'"stream_type"', b'"sequential_id"', b'"\xff"',
    b'"' + b"n" * 500 + b'"', b"bare", b"1", b'"status"', b'"error"', b'"level"', b'"trade_price"', b'"new_field"',
)  # fmt: skip


def members_of(data: bytes) -> Members:
    """The members of a well-formed frame, raw."""
    return [(b'"%s"' % name.encode(), bytes(value)) for name, value in _decode_object(data).items()]


def joined(members: Members) -> bytes:
    """A JSON object of raw members."""
    return b"{" + b",".join(name + b":" + value for name, value in members) + b"}"


class Mutator:
    """Makes frames; everything it does follows from `random`."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._bases = {stream: [members_of(base) for base in bases] for stream, bases in BASES.items()}
        self._member_steps: tuple[Callable[[Members], None], ...] = (
            self._drop, self._duplicate, self._rename, self._null, self._revalue, self._revalue, self._revalue,
            self._renumber, self._renumber, self._insert, self._swap, self._relevel,
        )  # fmt: skip
        self._byte_steps: tuple[Callable[[bytes], bytes], ...] = (
            self._truncated, self._flipped, self._without_slice, self._with_bytes, self._spliced, self._spaced,
            self._framed,
        )  # fmt: skip

    def frame(self, stream: str) -> bytes:
        """One frame for the gate of `stream`: from untouched to nonsense."""
        draw = self._random
        kind = draw.random()
        if kind < 0.02:
            return draw.choice(_CONTROLS)
        if kind < 0.03:
            return draw.randbytes(draw.randrange(60))
        members = list(draw.choice(self._bases[stream]))
        for _ in range(draw.choice((0, 1, 1, 1, 2, 3))):
            if members:
                draw.choice(self._member_steps)(members)
        data = joined(members)
        if kind > 0.8:
            data = draw.choice(self._byte_steps)(data)
        return data

    # -- members -------------------------------------------------------------------------------------------------

    def _place(self, members: Members) -> int:
        return self._random.randrange(len(members))

    def _drop(self, members: Members) -> None:
        del members[self._place(members)]

    def _duplicate(self, members: Members) -> None:
        name, value = members[self._place(members)]
        value = value if self._random.random() < 0.5 else self._value()
        members.insert(self._random.randint(0, len(members)), (name, value))

    def _rename(self, members: Members) -> None:
        place = self._place(members)
        members[place] = (self._random.choice(_NAMES), members[place][1])

    def _null(self, members: Members) -> None:
        place = self._place(members)
        members[place] = (members[place][0], b"null")

    def _revalue(self, members: Members) -> None:
        place = self._place(members)
        name = members[place][0]
        near = {b'"code"': _TEXTS, b'"sequential_id"': _TIMES, b'"ask_bid"': _TEXTS, b'"type"': _TEXTS}.get(name)
        if near is None and b"timestamp" in name:
            near = _TIMES
        members[place] = (name, self._random.choice(near) if near and self._random.random() < 0.7 else self._value())

    def _renumber(self, members: Members) -> None:
        """A number near the edge of what some column holds."""
        places = [place for place, (_, value) in enumerate(members) if value[:1].isdigit()]
        if places:
            place = self._random.choice(places)
            members[place] = (members[place][0], self._number())

    def _insert(self, members: Members) -> None:
        members.insert(self._random.randint(0, len(members)), (self._random.choice(_NAMES), self._value()))

    def _swap(self, members: Members) -> None:
        self._random.shuffle(members)

    def _relevel(self, members: Members) -> None:
        """The same inside one level of a book; other frames stay as they are."""
        place = next((i for i, (name, _) in enumerate(members) if name == b'"orderbook_units"'), None)
        if place is None:
            return
        try:
            levels = [members_of(msgspec.json.encode(level)) for level in _decode_levels(members[place][1])]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return  # an earlier step has broken it
        if levels and (level := self._random.choice(levels)):
            step = self._random.choice(
                (self._drop, self._duplicate, self._rename, self._null, self._revalue, self._renumber)
            )
            step(level)
        members[place] = (members[place][0], b"[" + b",".join(map(joined, levels)) + b"]")

    def _value(self) -> bytes:
        pool = self._random.choice((_NUMBERS, _TIMES, _TEXTS, _OTHERS, None))
        return self._number() if pool is None else self._random.choice(pool)

    def _number(self) -> bytes:
        draw = self._random
        digits = "".join(draw.choices("0123456789", k=draw.choice((1, 8, 9, 10, 12, 13, 16, 22, 23))))
        text = ("-" if draw.random() < 0.2 else "") + (digits.lstrip("0") or "0")
        if draw.random() < 0.7:
            text += "." + "".join(draw.choices("0123456789", k=draw.choice((1, 7, 8, 9, 10, 11, 16, 17))))
            text += "0" * draw.choice((0, 0, 1, 5, 30))
        if draw.random() < 0.3:
            text += draw.choice(("e", "E", "E+", "e-", "E-")) + str(draw.choice((0, 1, 2, 7, 8, 9, 10, 20, 400)))
        return text.encode()

    # -- bytes ---------------------------------------------------------------------------------------------------

    def _truncated(self, data: bytes) -> bytes:
        return data[: self._random.randrange(len(data))]

    def _flipped(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self._random.choice((1, 1, 2, 8))):
            changed[self._random.randrange(len(changed))] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def _without_slice(self, data: bytes) -> bytes:
        start = self._random.randrange(len(data))
        return data[:start] + data[start + self._random.randint(1, 40) :]

    def _with_bytes(self, data: bytes) -> bytes:
        place = self._random.randint(0, len(data))
        return data[:place] + self._random.randbytes(self._random.randint(1, 4)) + data[place:]

    def _spliced(self, data: bytes) -> bytes:
        other = joined(self._random.choice(self._bases[self._random.choice(tuple(self._bases))]))
        return data[: self._random.randrange(len(data))] + other[self._random.randrange(len(other)) :]

    def _spaced(self, data: bytes) -> bytes:
        space = self._random.choice((b" ", b"\n", b"\t", b"\r", b"\x0b", b"\xc2\xa0"))
        return data.replace(b":", space + b":", self._random.choice((1, 3, -1)))

    def _framed(self, data: bytes) -> bytes:
        before, after = self._random.choice(
            ((b"[", b"]"), (b"\xef\xbb\xbf", b""), (b"", b"\n"), (b"", b"x"), (b"", b"\x00"), (b"", data), (b" ", b" "))
        )
        return before + data + after
