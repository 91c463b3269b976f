"""REST trades in the shape of WebSocket trades. Numbers keep their text; only the sign of change_price moves."""

from datetime import UTC, datetime

import msgspec
from msgspec import Raw

DAY_MS = 86_400_000
REACH_DAYS = 7


class RestTrade(msgspec.Struct, gc=False):
    """One element of GET /trades/ticks; `timestamp` is the match time in ms."""

    market: str
    trade_date_utc: str
    trade_time_utc: str
    timestamp: int
    trade_price: Raw
    trade_volume: Raw
    prev_closing_price: Raw
    change_price: Raw
    ask_bid: str
    sequential_id: int


_decoder = msgspec.json.Decoder(list[RestTrade])


def decode(body: bytes) -> list[RestTrade]:
    """The trades of one page, newest first as REST sends them.

    Raises:
        msgspec.MsgspecError: the body is no such list.
    """
    return _decoder.decode(body)


def websocket_frame(stream: str, trade: RestTrade) -> bytes:
    """The frame that the WebSocket would have sent on `stream` for `trade` (docs/upbit.md#rest-trades).

    REST signs `change_price`; the WebSocket sends it absolute beside `change`. The best prices are not known here.
    """
    signed = bytes(trade.change_price)
    return (
        b'{"type":%s,"code":%s,"timestamp":%d,"trade_date":%s,"trade_time":%s,"trade_timestamp":%d,'
        b'"trade_price":%s,"trade_volume":%s,"ask_bid":%s,"prev_closing_price":%s,"change":"%s","change_price":%s,'
        b'"sequential_id":%d,"stream_type":"REALTIME"}'
    ) % (
        _text(stream),
        _text(trade.market),
        trade.timestamp,
        _text(trade.trade_date_utc),
        _text(trade.trade_time_utc),
        trade.timestamp,
        bytes(trade.trade_price),
        bytes(trade.trade_volume),
        _text(trade.ask_bid),
        bytes(trade.prev_closing_price),
        _change(signed),
        signed.removeprefix(b"-"),
        trade.sequential_id,
    )


def _change(signed: bytes) -> bytes:
    digits = signed.lower().partition(b"e")[0].strip(b"-0.")
    if not digits:
        return b"EVEN"
    return b"FALL" if signed.startswith(b"-") else b"RISE"


def _text(value: str) -> bytes:
    return msgspec.json.encode(value)


def days_between(from_ms: int, to_ms: int) -> int:
    """Whole UTC days from the day of `from_ms` to the day of `to_ms`, never negative."""
    return max(0, to_ms // DAY_MS - from_ms // DAY_MS)


def utc_text(ms: int) -> str:
    """`ms` as ISO text for a log line."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
