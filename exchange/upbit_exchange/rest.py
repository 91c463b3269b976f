"""The REST quotation API as pure handlers: a path and a query in, a reply out.

Numbers are spelled as on Upbit's REST, which differs from its WebSocket: trades and candles with fixed 8 decimals,
`change_price` of trades signed, order-book prices plain.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from upbit_exchange import candles, frames, spelling
from upbit_exchange.board import Board
from upbit_exchange.history import Trade
from upbit_exchange.listing import Market
from upbit_exchange.tape import DAY_MS, utc
from upbit_exchange.wire import Stream

KST_MS = 9 * 3_600_000
JSON = "application/json;charset=UTF-8"
Query = Mapping[str, str]


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer; `group` is the rate-limit group it counts in, None outside of all groups."""

    status: int
    body: bytes
    group: str | None = None
    content_type: str = JSON


class RestError(Exception):
    """A request that the exchange answers with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


_NO_ROUTE = b'{"error":{"name":"not_found","message":"no Route matched with those values"}}'
_INVALID = (400, "Invalid parameter. Check the given value!")
_MISMATCH = (400, "Type mismatch error. Check the parameters type!")
_MISSING = (400, "Missing request parameter error. Check the required parameters!")
_UNKNOWN_MARKET = (404, "Code not found")
TOO_MANY = Reply(429, b"Too many API requests.", None, "text/plain;charset=UTF-8")


def _required(query: Query, name: str) -> str:
    if not query.get(name):
        raise RestError(*_MISSING)
    return query[name]


def _integer(query: Query, name: str, default: int, low: int, high: int) -> int:
    text = query.get(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise RestError(*_MISMATCH) from None
    if not low <= value <= high:
        raise RestError(*_INVALID)
    return value


def _array(objects: Sequence[Mapping[str, str]]) -> bytes:
    return b"[" + b",".join(frames.join(values) for values in objects) + b"]"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def moment(text: str) -> int:
    """`to` of the candles in ms: ISO 8601 with `Z`, an offset or nothing (UTC); RestError otherwise."""
    # An unencoded `+09:00` arrives as a space.
    text = re.sub(r" (\d\d:\d\d)$", r"+\1", text) if "T" in text else text
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise RestError(*_INVALID) from None
    parsed = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
    return (parsed - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


class Rest:
    """Answers from what was published so far."""

    def __init__(self, board: Board, markets: Sequence[Market]) -> None:
        self._board = board
        self._markets = {market.code: market for market in markets}
        self._routes: dict[str, tuple[str, Callable[[Query, int], bytes]]] = {
            "/v1/market/all": ("market", self._market_all),
            "/v1/ticker": ("ticker", self._ticker),
            "/v1/ticker/all": ("ticker", self._ticker_all),
            "/v1/orderbook": ("orderbook", self._orderbook),
            "/v1/trades/ticks": ("crix-trades", self._ticks),
        }
        for unit in candles.UNITS:
            self._routes[f"/v1/candles/minutes/{unit}"] = ("candles", self._candles_of(unit))

    def group(self, path: str) -> str | None:
        """The rate-limit group of a path, None for an unknown path."""
        route = self._routes.get(path)
        return route[0] if route else None

    def answer(self, path: str, query: Query, now_ms: int) -> Reply:
        """The reply at the exchange's time `now_ms`."""
        route = self._routes.get(path)
        if route is None:
            return Reply(404, _NO_ROUTE)
        group, handler = route
        try:
            return Reply(200, handler(query, now_ms), group)
        except RestError as error:
            body = msgspec.json.encode({"error": {"name": error.status, "message": error.message}})
            return Reply(error.status, body, group)

    def _known(self, codes: str, upper: bool = False) -> list[str]:
        wanted = [code.strip() for code in (codes.upper() if upper else codes).split(",") if code.strip()]
        if not all(code in self._markets for code in wanted):
            raise RestError(*_UNKNOWN_MARKET)
        return wanted

    def _one(self, code: str) -> str:
        if code not in self._markets:
            raise RestError(*_UNKNOWN_MARKET)
        return code

    def _last(self, stream: Stream, codes: list[str], spell: Callable[[str, dict[str, str]], dict[str, str]]) -> bytes:
        """The last events of these codes. A recorded frame that lacks what REST needs is left out."""
        found: list[dict[str, str]] = []
        for code in codes:
            event = self._board.last.get((stream, code))
            if event is not None:
                with contextlib.suppress(KeyError, ValueError, ArithmeticError, msgspec.MsgspecError):
                    found.append(spell(code, frames.fields(event.frame)))
        return _array(found)

    def _market_all(self, query: Query, _now_ms: int) -> bytes:
        details = query.get("is_details", "false").lower() == "true"
        flags = (
            "PRICE_FLUCTUATIONS",
            "TRADING_VOLUME_SOARING",
            "DEPOSIT_AMOUNT_SOARING",
            "GLOBAL_PRICE_DIFFERENCES",
            "CONCENTRATION_OF_SMALL_ACCOUNTS",
        )
        quiet = {"warning": False, "caution": dict.fromkeys(flags, False)}
        return msgspec.json.encode(
            [
                {"market": m.code, "korean_name": m.korean_name, "english_name": m.english_name}
                | ({"market_event": quiet} if details else {})
                for m in self._markets.values()
            ]
        )

    def _ticker(self, query: Query, _now_ms: int) -> bytes:
        return self._last("ticker", self._known(_required(query, "markets")), ticker)

    def _ticker_all(self, query: Query, _now_ms: int) -> bytes:
        quotes = {quote.strip() for quote in _required(query, "quote_currencies").upper().split(",")}
        return self._last("ticker", [code for code in self._markets if code.split("-")[0] in quotes], ticker)

    def _orderbook(self, query: Query, _now_ms: int) -> bytes:
        codes = self._known(_required(query, "markets"), upper=True)
        count = min(_integer(query, "count", 30, 1, 1 << 31), 30)
        if query.get("level", "0") not in ("0", "0.0"):
            return b"[]"
        return self._last("orderbook", codes, partial(orderbook, count=count))

    def _ticks(self, query: Query, now_ms: int) -> bytes:
        code = self._one(_required(query, "market"))
        count = _integer(query, "count", 1, 1, 500)
        cursor = _integer(query, "cursor", 0, 0, 1 << 62) or None
        day = now_ms // DAY_MS - _integer(query, "days_ago", 0, 1, 7)
        end = day * DAY_MS + (_time_of_day(query["to"]) if query.get("to") else DAY_MS)
        page = self._board.history.newest(code, day * DAY_MS, end, cursor, count)
        return _array([tick(code, trade, close) for trade, close in page])

    def _candles_of(self, unit: int) -> Callable[[Query, int], bytes]:
        def answer(query: Query, now_ms: int) -> bytes:
            code = self._one(_required(query, "market"))
            count = _integer(query, "count", 1, 1, 200)
            to_ms = moment(query["to"]) if query.get("to") else now_ms + 1
            newest = candles.newest(self._board.history, code, unit, to_ms, count)
            return _array([minute_candle(code, candle, unit) for candle in newest])

        return answer


def _time_of_day(text: str) -> int:
    """`to` of the trades: HHmmss or HH:mm:ss inside the queried day, in ms since midnight. Exclusive."""
    match = re.fullmatch(r"(\d\d):?(\d\d):?(\d\d)", text)
    if not match or int(match[1]) > 23 or int(match[2]) > 59 or int(match[3]) > 59:
        raise RestError(*_INVALID)
    return (int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3])) * 1000


def tick(code: str, trade: Trade, close: int) -> dict[str, str]:
    """A trade as REST writes it."""
    date, time = utc(trade.ms)
    return {
        "market": _quoted(code),
        "trade_date_utc": _quoted(date),
        "trade_time_utc": _quoted(time),
        "timestamp": str(trade.ms),
        "trade_price": spelling.fixed8(trade.price),
        "trade_volume": spelling.fixed8(trade.volume),
        "prev_closing_price": spelling.fixed8(close),
        "change_price": spelling.fixed8(trade.price - close),
        "ask_bid": _quoted(trade.side),
        "sequential_id": str(trade.sequential_id),
    }


def minute_candle(code: str, candle: candles.Candle, unit: int) -> dict[str, str]:
    """A candle as REST writes it."""
    return {
        "market": _quoted(code),
        "candle_date_time_utc": _quoted("T".join(utc(candle.start_ms))),
        "candle_date_time_kst": _quoted("T".join(utc(candle.start_ms + KST_MS))),
        "opening_price": spelling.fixed8(candle.opening),
        "high_price": spelling.fixed8(candle.high),
        "low_price": spelling.fixed8(candle.low),
        "trade_price": spelling.fixed8(candle.closing),
        "timestamp": str(candle.last_ms),
        "candle_acc_trade_price": spelling.product(candle.value),
        "candle_acc_trade_volume": spelling.fixed8(candle.volume),
        "unit": str(unit),
    }


_TICKER_PRICES = ("opening_price", "high_price", "low_price", "trade_price", "prev_closing_price")
_TICKER_CHANGES = ("change_price", "change_rate", "signed_change_price", "signed_change_rate")
_TICKER_YEAR = ("highest_52_week_price", "highest_52_week_date", "lowest_52_week_price", "lowest_52_week_date")


def _fixed(text: str, scale: int = 8) -> str:
    return spelling.fixed8(spelling.units(text)) if scale == 8 else f"{spelling.exact(text):.{scale}f}"


def ticker(code: str, values: dict[str, str]) -> dict[str, str]:
    """The last ticker frame as REST writes it. Fields that a recording lacks are left out."""
    spelled = {name: _fixed(value) for name, value in values.items() if name.endswith(("price", "volume"))}
    spelled |= {name: values[name] for name in _TICKER_YEAR if name.endswith("date") and name in values}
    for name in _TICKER_CHANGES:
        if name in values:
            even = spelling.exact(values[name]) == 0
            spelled[name] = "0" if even else _fixed(values[name], 10 if name.endswith("rate") else 8)
    for name, scale in (("acc_trade_price", None), ("acc_trade_price_24h", 16)):
        if name in values:
            plain = f"{spelling.exact(values[name]):.16f}"
            spelled[name] = plain if scale else plain.rstrip("0").rstrip(".")
    if "acc_trade_volume_24h" in values:
        spelled["acc_trade_volume_24h"] = _fixed(values["acc_trade_volume_24h"])
    kst = utc(int(values.get("trade_timestamp", "0")) + KST_MS)
    spelled["trade_date_kst"] = _quoted(kst[0].replace("-", ""))
    spelled["trade_time_kst"] = _quoted(kst[1].replace(":", ""))
    order = (
        *("trade_date", "trade_time", "trade_date_kst", "trade_time_kst", "trade_timestamp"),
        *_TICKER_PRICES,
        "change",
        *_TICKER_CHANGES,
        *("trade_volume", "acc_trade_price", "acc_trade_price_24h", "acc_trade_volume", "acc_trade_volume_24h"),
        *_TICKER_YEAR,
        "timestamp",
    )
    known = values | spelled
    return {"market": _quoted(code)} | {name: known[name] for name in order if name in known}


def orderbook(code: str, values: dict[str, str], count: int) -> dict[str, str]:
    """The last book as REST writes it: bids first within a level, plain prices."""
    names = ("bid_price", "bid_size", "ask_price", "ask_size")
    levels = [
        {name: spelling.stripped(spelling.units(level[name])) for name in names if name in level}
        for level in frames.units(values["orderbook_units"])[:count]
    ]
    totals = {
        name: spelling.stripped(spelling.units(values[name]))
        for name in ("total_ask_size", "total_bid_size")
        if name in values
    }
    head = {"market": _quoted(code), "timestamp": values["timestamp"]}
    return head | totals | {"orderbook_units": frames.units_text(levels), "level": values.get("level", "0")}
