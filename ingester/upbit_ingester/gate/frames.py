"""What the gate knows of each stream: the typed struct of its frame, and the widths of the numbers in it.

`Raw` keeps a value as its bytes in the frame: numbers are judged by their text, never through a float, and what only
passes through is not decoded at all. A field without a default is required. What Upbit may add later is not listed:
msgspec skips it, and the gate counts it. Decision: docs/decisions/0022.

A stream is one struct with its `event`, and one entry in `STREAMS`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

ABSENT = Raw(b"")  # a field that the frame does not have; no JSON value is empty

# No exchange time is outside: dt and hh are computed from it, and a year of five digits would break the job.
EARLIEST_MS = 1_262_304_000_000  # 2010-01-01
LATEST_MS = 4_102_444_800_000  # 2100-01-01
MICROSECONDS = 1_000_000_000_000_000  # a time above this is in microseconds, as on some order books

CODE = r"[0-9A-Z]{1,20}-[0-9A-Z._]{1,40}"  # a market's code as a regular expression: KRW-BTC

_INT64_MAX = 2**63 - 1

# (the exchange's time of the event in ms, sequential_id or 0, with the code the stream's key)
Event = tuple[int, int, tuple[int, bytes]]
Widths = dict[str, tuple[int, int]]


class MisfitError(Exception):
    """The frame at hand is refused; the text says why."""


class Frame(Struct, gc=False, omit_defaults=True):
    """Every stream's frame has these fields. Either `code` (WebSocket) or `market` (REST spelling) must be there.

    Fields stand in the wire's order: a frame that is encoded again then equals its bytes, unless it is unusual.
    """

    type: str
    code: str | UnsetType | None = UNSET
    market: str | UnsetType | None = UNSET
    if TYPE_CHECKING:  # every stream has it, each at its own place in the wire's order
        stream_type: str | UnsetType | None = UNSET

    def event(self) -> Event:
        """The event that the frame shows; MisfitError when one of its times or its id is not a possible one."""
        raise NotImplementedError


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

    def event(self) -> Event:
        """See Frame."""
        if not 0 < self.sequential_id <= _INT64_MAX:
            raise MisfitError(f"sequential_id {str(self.sequential_id)[:30]} is not a positive 64-bit integer")
        possible_ms("timestamp", self.timestamp)
        event_ms = possible_ms("trade_timestamp", self.trade_timestamp)
        return event_ms, self.sequential_id, (self.sequential_id, b"")


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

    def event(self) -> Event:
        """See Frame."""
        possible_ms("trade_timestamp", self.trade_timestamp)
        return possible_ms("timestamp", self.timestamp), 0, (self.timestamp, bytes(self.acc_trade_volume))


class OrderbookFrame(Frame, gc=False, kw_only=True, omit_defaults=True):
    """A whole book; key (code, timestamp). `timestamp` in ms, on some books in microseconds (a known defect)."""

    timestamp: int
    total_ask_size: Raw = ABSENT
    total_bid_size: Raw = ABSENT
    orderbook_units: Raw
    stream_type: str | UnsetType | None = UNSET
    level: Raw = ABSENT

    def event(self) -> Event:
        """See Frame."""
        in_ms = self.timestamp // 1000 if self.timestamp > MICROSECONDS else self.timestamp
        return possible_ms("timestamp", in_ms), 0, (self.timestamp, b"")


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


def possible_ms(name: str, value: int | UnsetType | None) -> int:
    """`value`, the field `name` of a frame, if it is a time in ms that the lake can hold; 0 where it is left out.

    Raises:
        MisfitError: it is outside 2010 to 2100.
    """
    if value is None or isinstance(value, UnsetType):
        return 0  # optional here: the structs require what must be there
    if not EARLIEST_MS <= value < LATEST_MS:
        raise MisfitError(f"{name} {str(value)[:30]} is not a time in ms between 2010 and 2100")
    return value


@dataclass(frozen=True, slots=True)
class Rows:
    """A field that holds an array of objects of one kind: ARRAY<ROW<…>> of numbers, in the wire's order of fields."""

    field: str
    struct: type[Struct]
    widths: Widths


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A StreamSpec says what fits of one stream.

    `widths`: (precision, scale) of each DECIMAL column in sql/tables; a test compares them. A field of
    `widths` that the struct requires must hold a number, not null: those are the NOT NULL columns.
    """

    struct: type[Frame]
    widths: Widths
    rows: Rows | None = None


STREAMS: dict[str, StreamSpec] = {
    "trade": StreamSpec(
        TradeFrame,
        {
            "trade_price": (17, 8),
            "trade_volume": (20, 8),
            "prev_closing_price": (17, 8),
            "change_price": (17, 8),
            "best_ask_price": (17, 8),
            "best_ask_size": (20, 8),
            "best_bid_price": (17, 8),
            "best_bid_size": (20, 8),
        },
    ),
    "ticker": StreamSpec(
        TickerFrame,
        {
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
    ),
    "orderbook": StreamSpec(
        OrderbookFrame,
        {"total_ask_size": (24, 8), "total_bid_size": (24, 8), "level": (20, 8)},
        Rows(
            "orderbook_units",
            OrderbookUnit,
            {"ask_price": (17, 8), "bid_price": (17, 8), "ask_size": (20, 8), "bid_size": (20, 8)},
        ),
    ),
}
