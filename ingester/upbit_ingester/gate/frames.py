"""The shape of each stream's frame as the gate sees it: one typed struct per stream (docs/decisions/0022).

`Raw` keeps a value as its bytes in the frame: numbers are judged by their text, never through a float, and what only
passes through is not decoded at all. A field without a default is required. What Upbit may add later is not listed:
msgspec skips it, and the gate counts it.
"""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

ABSENT = Raw(b"")  # a field that the frame does not have; no JSON value is empty


class Frame(Struct, gc=False, omit_defaults=True):
    """What every stream has. Either `code` (WebSocket) or `market` (REST spelling) must be there.

    Fields stand in the wire's order: a frame that is encoded again then equals its bytes, unless it is unusual.
    """

    type: str
    code: str | UnsetType | None = UNSET
    market: str | UnsetType | None = UNSET


class TradeFrame(Frame, gc=False, kw_only=True, omit_defaults=True):
    """A trade; key (code, sequential_id). `trade_timestamp` = match time, `timestamp` = publish time, both ms."""

    timestamp: int | UnsetType | None = UNSET
    trade_date: Raw = ABSENT
    trade_time: Raw = ABSENT
    trade_timestamp: int
    trade_price: Raw
    trade_volume: Raw
    ask_bid: Literal["ASK", "BID"]
    prev_closing_price: Raw = ABSENT
    change: Raw = ABSENT
    change_price: Raw = ABSENT
    sequential_id: int
    best_ask_price: Raw = ABSENT
    best_ask_size: Raw = ABSENT
    best_bid_price: Raw = ABSENT
    best_bid_size: Raw = ABSENT
    stream_type: str | UnsetType | None = UNSET


class TickerFrame(Frame, gc=False, kw_only=True, omit_defaults=True):
    """A ticker; key (code, timestamp, acc_trade_volume). Times in ms."""

    opening_price: Raw = ABSENT
    high_price: Raw = ABSENT
    low_price: Raw = ABSENT
    trade_price: Raw
    prev_closing_price: Raw = ABSENT
    acc_trade_price: Raw = ABSENT
    change: Raw = ABSENT
    change_price: Raw = ABSENT
    signed_change_price: Raw = ABSENT
    change_rate: Raw = ABSENT
    signed_change_rate: Raw = ABSENT
    ask_bid: Raw = ABSENT
    trade_volume: Raw = ABSENT
    acc_trade_volume: Raw
    trade_date: Raw = ABSENT
    trade_time: Raw = ABSENT
    trade_timestamp: int | UnsetType | None = UNSET
    acc_ask_volume: Raw = ABSENT
    acc_bid_volume: Raw = ABSENT
    highest_52_week_price: Raw = ABSENT
    highest_52_week_date: Raw = ABSENT
    lowest_52_week_price: Raw = ABSENT
    lowest_52_week_date: Raw = ABSENT
    market_state: Raw = ABSENT
    is_trading_suspended: bool | UnsetType | None = UNSET
    delisting_date: Raw = ABSENT
    market_warning: Raw = ABSENT
    timestamp: int
    acc_trade_price_24h: Raw = ABSENT
    acc_trade_volume_24h: Raw = ABSENT
    stream_type: str | UnsetType | None = UNSET


class OrderbookFrame(Frame, gc=False, kw_only=True, omit_defaults=True):
    """A whole book; key (code, timestamp). `timestamp` in ms, on some books in microseconds (a known defect)."""

    timestamp: int
    total_ask_size: Raw = ABSENT
    total_bid_size: Raw = ABSENT
    orderbook_units: Raw
    stream_type: str | UnsetType | None = UNSET
    level: Raw = ABSENT


class OrderbookUnit(Struct, gc=False):
    """One level of a book."""

    ask_price: Raw
    bid_price: Raw
    ask_size: Raw
    bid_size: Raw


class ErrorBody(Struct, gc=False):
    """The inside of an error frame; `name` is text on the WebSocket and a number on REST."""

    name: str | int = ""
    message: str = ""


class ControlFrame(Struct, gc=False, forbid_unknown_fields=True):
    """A frame that is no data: `{"status":"UP"}` or `{"error":{…}}`. With anything beside it, it may be data."""

    status: str | None = None
    error: ErrorBody | None = None


StreamFrame = TradeFrame | TickerFrame | OrderbookFrame
STRUCTS: dict[str, type[TradeFrame] | type[TickerFrame] | type[OrderbookFrame]] = {
    "trade": TradeFrame,
    "ticker": TickerFrame,
    "orderbook": OrderbookFrame,
}

# (precision, scale) of each DECIMAL column in sql/tables/<stream>.sql; a unit test keeps the two equal.
WIDTHS: dict[str, dict[str, tuple[int, int]]] = {
    "trade": {
        "trade_price": (17, 8),
        "trade_volume": (20, 8),
        "prev_closing_price": (17, 8),
        "change_price": (17, 8),
        "best_ask_price": (17, 8),
        "best_ask_size": (20, 8),
        "best_bid_price": (17, 8),
        "best_bid_size": (20, 8),
    },
    "ticker": {
        "acc_trade_volume": (24, 8),
        "opening_price": (17, 8),
        "high_price": (17, 8),
        "low_price": (17, 8),
        "trade_price": (17, 8),
        "prev_closing_price": (17, 8),
        "change_price": (17, 8),
        "signed_change_price": (17, 8),
        "change_rate": (20, 10),
        "signed_change_rate": (20, 10),
        "trade_volume": (20, 8),
        "acc_trade_volume_24h": (24, 8),
        "acc_trade_price": (38, 16),
        "acc_trade_price_24h": (38, 16),
        "acc_ask_volume": (24, 8),
        "acc_bid_volume": (24, 8),
        "highest_52_week_price": (17, 8),
        "lowest_52_week_price": (17, 8),
    },
    "orderbook": {"total_ask_size": (24, 8), "total_bid_size": (24, 8), "level": (20, 8)},
}

# The same for the levels of a book: ARRAY<ROW<…>> in sql/tables/orderbook.sql, in the wire's order of fields.
UNIT_WIDTHS: dict[str, tuple[int, int]] = {
    "ask_price": (17, 8),
    "bid_price": (17, 8),
    "ask_size": (20, 8),
    "bid_size": (20, 8),
}

# Members that must hold a value, not null: the NOT NULL columns.
REQUIRED_NUMBERS: dict[str, tuple[str, ...]] = {
    "trade": ("trade_price", "trade_volume"),
    "ticker": ("trade_price", "acc_trade_volume"),
    "orderbook": (),
}
