"""Names of the wire: streams, their fields in wire order with the short names of SIMPLE, keys and times."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Stream = Literal["ticker", "trade", "orderbook"]
# What a WebSocket client can subscribe to. Candles are no streams: they are derived from trades, not published.
Channel = Literal[
    "ticker",
    "trade",
    "orderbook",
    "candle.1s",
    "candle.1m",
    "candle.3m",
    "candle.5m",
    "candle.10m",
    "candle.15m",
    "candle.30m",
    "candle.60m",
    "candle.240m",
]
Format = Literal["DEFAULT", "SIMPLE", "JSON_LIST", "SIMPLE_LIST"]

# A defect of the wire (docs/upbit.md#microseconds): some books carry microseconds where milliseconds belong. A time
# above this bound is one of them: in milliseconds it would lie in the year 33658.
MICROSECONDS_ABOVE = 10**15

STREAMS: tuple[Stream, ...] = get_args(Stream)
CHANNELS: tuple[Channel, ...] = get_args(Channel)
CANDLES: tuple[Channel, ...] = tuple(channel for channel in CHANNELS if channel not in STREAMS)

# Key fields and event time of each stream. The same as in pipeline.toml; a test holds the two together.
KEYS: dict[Stream, tuple[str, ...]] = {
    "ticker": ("code", "timestamp", "acc_trade_volume"),
    "trade": ("code", "sequential_id"),
    "orderbook": ("code", "timestamp"),
}
TIMES: dict[Stream, str] = {"ticker": "timestamp", "trade": "trade_timestamp", "orderbook": "timestamp"}

_CANDLE_SHORT = {
    "type": "ty",
    "code": "cd",
    "candle_date_time_utc": "cdttmu",
    "candle_date_time_kst": "cdttmk",
    "opening_price": "op",
    "high_price": "hp",
    "low_price": "lp",
    "trade_price": "tp",
    "candle_acc_trade_volume": "catv",
    "candle_acc_trade_price": "catp",
    "timestamp": "tms",
    "stream_type": "st",
}
SHORT: dict[Channel, dict[str, str]] = dict.fromkeys(CANDLES, _CANDLE_SHORT) | {
    "trade": {
        "type": "ty",
        "code": "cd",
        "timestamp": "tms",
        "trade_date": "td",
        "trade_time": "ttm",
        "trade_timestamp": "ttms",
        "trade_price": "tp",
        "trade_volume": "tv",
        "ask_bid": "ab",
        "prev_closing_price": "pcp",
        "change": "c",
        "change_price": "cp",
        "sequential_id": "sid",
        "best_ask_price": "bap",
        "best_ask_size": "bas",
        "best_bid_price": "bbp",
        "best_bid_size": "bbs",
        "stream_type": "st",
    },
    "ticker": {
        "type": "ty",
        "code": "cd",
        "opening_price": "op",
        "high_price": "hp",
        "low_price": "lp",
        "trade_price": "tp",
        "prev_closing_price": "pcp",
        "acc_trade_price": "atp",
        "change": "c",
        "change_price": "cp",
        "signed_change_price": "scp",
        "change_rate": "cr",
        "signed_change_rate": "scr",
        "ask_bid": "ab",
        "trade_volume": "tv",
        "acc_trade_volume": "atv",
        "trade_date": "tdt",
        "trade_time": "ttm",
        "trade_timestamp": "ttms",
        "acc_ask_volume": "aav",
        "acc_bid_volume": "abv",
        "highest_52_week_price": "h52wp",
        "highest_52_week_date": "h52wdt",
        "lowest_52_week_price": "l52wp",
        "lowest_52_week_date": "l52wdt",
        # Gone from the wire since 2021-10; recordings of before still carry them.
        "trade_status": "ts",
        "market_state_for_ios": "msfi",
        "market_state": "ms",
        "is_trading_suspended": "its",
        "delisting_date": "dd",
        "market_warning": "mw",
        "timestamp": "tms",
        "acc_trade_price_24h": "atp24h",
        "acc_trade_volume_24h": "atv24h",
        "stream_type": "st",
    },
    "orderbook": {
        "type": "ty",
        "code": "cd",
        "timestamp": "tms",
        "total_ask_size": "tas",
        "total_bid_size": "tbs",
        "orderbook_units": "obu",
        "stream_type": "st",
        "level": "lv",
    },
}
UNIT_SHORT = {"ask_price": "ap", "bid_price": "bp", "ask_size": "as", "bid_size": "bs"}

LONG: dict[Channel, dict[str, str]] = {
    channel: {short: long for long, short in names.items()} for channel, names in SHORT.items()
}
UNIT_LONG = {short: long for long, short in UNIT_SHORT.items()}


class Event(msgspec.Struct, frozen=True):
    """One published event: the DEFAULT frame as bytes and what identifies it.

    `key` holds the key fields as their exact text, `time` is the stream's event time in ms since the epoch.
    """

    stream: Stream
    code: str
    key: dict[str, str]
    time: int
    frame: bytes


class Update(msgspec.Struct, frozen=True):
    """A DEFAULT frame that is derived from events, and so neither in the ledger nor counted as published."""

    stream: Channel
    code: str
    frame: bytes
