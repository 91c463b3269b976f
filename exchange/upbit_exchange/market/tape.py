"""The tape sums up one market's trades: the day since UTC midnight, the last 24 hours, the last trade."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from upbit_exchange.clock import DAY_MS
from upbit_exchange.market.book import Book
from upbit_exchange.market.history import Trade
from upbit_exchange.wire import spelling
from upbit_exchange.wire.names import Event

MINUTE_MS = 60_000
KST_MS = 9 * 3_600_000

TradePriceSpelling = Callable[[int], str]
# The text of trade prices in 2026 is not known for sure (docs/upbit.md#numbers): all three are possible.
TRADE_PRICES: dict[str, TradePriceSpelling] = {
    "plain": spelling.dotted,
    "double": spelling.java_double,
    "fixed": spelling.fixed8,
}


@lru_cache(maxsize=4096)
def _utc(second: int) -> tuple[str, str]:
    moment = datetime.fromtimestamp(second, UTC)
    return moment.strftime("%Y-%m-%d"), moment.strftime("%H:%M:%S")


def utc(ms: int) -> tuple[str, str]:
    """Returns date and time of day of a moment (ms): `2026-07-30`, `07:04:03`."""
    return _utc(ms // 1000)


def change(price: int, base: int) -> str:
    """Returns RISE, EVEN or FALL against the previous close."""
    return "RISE" if price > base else "FALL" if price < base else "EVEN"


_TRADE = (
    '{"type":"trade","code":"%s","timestamp":%d,"trade_date":"%s","trade_time":"%s","trade_timestamp":%d,'
    '"trade_price":%s,"trade_volume":%s,"ask_bid":"%s","prev_closing_price":%s,"change":"%s","change_price":%s,'
    '"sequential_id":%d,"best_ask_price":%s,"best_ask_size":%s,"best_bid_price":%s,"best_bid_size":%s,'
    '"stream_type":"REALTIME"}'
)
_TICKER = (
    '{"type":"ticker","code":"%s","opening_price":%s,"high_price":%s,"low_price":%s,"trade_price":%s,'
    '"prev_closing_price":%s,"acc_trade_price":%s,"change":"%s","change_price":%s,"signed_change_price":%s,'
    '"change_rate":%s,"signed_change_rate":%s,"ask_bid":"%s","trade_volume":%s,"acc_trade_volume":%s,'
    '"trade_date":"%s","trade_time":"%s","trade_timestamp":%d,"acc_ask_volume":%s,"acc_bid_volume":%s,'
    '"highest_52_week_price":%s,"highest_52_week_date":"%s","lowest_52_week_price":%s,"lowest_52_week_date":"%s",'
    '"market_state":"ACTIVE","is_trading_suspended":false,"delisting_date":null,"market_warning":"NONE",'
    '"timestamp":%d,"acc_trade_price_24h":%s,"acc_trade_volume_24h":%s,"stream_type":"REALTIME"}'
)


class Tape:
    """The trades of one market. All sums are exact integers: volumes 10^-8, values 10^-16.

    The sums of 24 hours begin at a whole minute.
    """

    def __init__(self, code: str, close: int, first: Trade, trade_price: TradePriceSpelling) -> None:
        self.code = code
        self._trade_price = trade_price
        self.last = first
        self.close = close
        self.day = first.ms // DAY_MS
        self.opening = self.high = self.low = first.price
        self.value = self.ask_volume = self.bid_volume = 0
        # The last 24 hours by minute, [minute, value, volume]: a trade each would cost a busy market its memory.
        self._recent: deque[list[int]] = deque()
        self._value_24h = self._volume_24h = 0
        self.year_high = (first.price * 3 // 2, utc(first.ms - 200 * DAY_MS)[0])
        self.year_low = (first.price // 2, utc(first.ms - 100 * DAY_MS)[0])
        self._take(first)

    def _take(self, trade: Trade) -> None:
        if trade.ms // DAY_MS == self.day:
            self.value += trade.price * trade.volume
            if trade.side == "ASK":
                self.ask_volume += trade.volume
            else:
                self.bid_volume += trade.volume
        minute, value = trade.ms // MINUTE_MS, trade.price * trade.volume
        if not self._recent or self._recent[-1][0] != minute:
            self._recent.append([minute, 0, 0])
        self._recent[-1][1] += value
        self._recent[-1][2] += trade.volume
        self._value_24h += value
        self._volume_24h += trade.volume

    def roll(self, ms: int) -> None:
        """Begins the UTC day of `ms` if it is a new one: the last price becomes the previous close, sums restart."""
        day = ms // DAY_MS
        if day <= self.day:
            return
        self.day = day
        self.close = self.opening = self.high = self.low = self.last.price
        self.value = self.ask_volume = self.bid_volume = 0

    def add(self, trade: Trade) -> None:
        """Counts a trade; trades come in order of `ms`."""
        self.roll(trade.ms)
        if self.ask_volume + self.bid_volume == 0:
            self.opening = self.high = self.low = trade.price
        self.high, self.low = max(self.high, trade.price), min(self.low, trade.price)
        date = utc(trade.ms)[0]
        if trade.price > self.year_high[0]:
            self.year_high = (trade.price, date)
        if trade.price < self.year_low[0]:
            self.year_low = (trade.price, date)
        self._take(trade)
        self.last = trade

    def next_id(self, ms: int) -> int:
        """Returns trade_ms x 10000 + counter: unique in this market only, as on the wire."""
        return max(ms * 10_000, self.last.sequential_id + 1)

    def trade_event(self, timestamp: int, book: Book) -> Event:
        """Returns the last trade as a frame published at `timestamp` (ms)."""
        last = self.last
        sid = last.sequential_id
        frame = _TRADE % (
            self.code,
            timestamp,
            *utc(last.ms),
            last.ms,
            self._trade_price(last.price),
            spelling.dotted(last.volume),
            last.side,
            spelling.decimal8(self.close),
            change(last.price, self.close),
            spelling.decimal8(abs(last.price - self.close)),
            sid,
            spelling.stripped(book.asks.prices[0]),
            spelling.stripped(book.asks.sizes[0]),
            spelling.stripped(book.bids.prices[0]),
            spelling.stripped(book.bids.sizes[0]),
        )
        return Event("trade", self.code, {"code": self.code, "sequential_id": str(sid)}, last.ms, frame.encode())

    def _expire(self, ms: int) -> None:
        recent = self._recent
        while recent and recent[0][0] <= (ms - DAY_MS) // MINUTE_MS:
            _, value, volume = recent.popleft()
            self._value_24h -= value
            self._volume_24h -= volume

    def ticker_event(self, timestamp: int) -> Event:
        """Returns the state of the market at `timestamp` (ms) as a frame."""
        self._expire(timestamp)
        last, close = self.last, self.close
        difference = last.price - close
        rate = spelling.rate(difference, close)
        date, time = utc(last.ms)
        volume = spelling.decimal8(self.ask_volume + self.bid_volume)
        sign = "-" if difference < 0 else ""
        change_price = spelling.decimal8(abs(difference))
        frame = _TICKER % (
            self.code,
            spelling.stripped(self.opening),
            spelling.stripped(self.high),
            spelling.stripped(self.low),
            spelling.stripped(last.price),
            spelling.decimal8(close),
            spelling.product(self.value),
            change(last.price, close),
            change_price,
            sign + change_price,
            rate.lstrip("-"),
            rate,
            last.side,
            spelling.decimal8(last.volume),
            volume,
            date.replace("-", ""),
            time.replace(":", ""),
            last.ms,
            spelling.decimal8(self.ask_volume),
            spelling.decimal8(self.bid_volume),
            spelling.decimal8(self.year_high[0]),
            self.year_high[1],
            spelling.decimal8(self.year_low[0]),
            self.year_low[1],
            timestamp,
            spelling.product(self._value_24h),
            spelling.decimal8(self._volume_24h),
        )
        key = {"code": self.code, "timestamp": str(timestamp), "acc_trade_volume": volume}
        return Event("ticker", self.code, key, timestamp, frame.encode())
