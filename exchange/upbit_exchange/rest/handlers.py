"""The handlers of the REST quotation API turn a path and a query into a reply."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from upbit_exchange.clock import DAY_MS
from upbit_exchange.journal.board import Board
from upbit_exchange.market import candles, levels, listing
from upbit_exchange.market.listing import Market
from upbit_exchange.rest import answers, query
from upbit_exchange.rest.lag import NO_LAG, RestLag
from upbit_exchange.rest.query import Query, RestError
from upbit_exchange.wire import frames, spelling
from upbit_exchange.wire.names import Stream

JSON = "application/json;charset=UTF-8"
TEXT = "text/plain;charset=UTF-8"


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer; `group` is the rate-limit group it counts in, None outside of all groups."""

    status: int
    body: bytes
    group: str | None = None
    content_type: str = JSON


_NO_ROUTE = b'{"error":{"name":"not_found","message":"no Route matched with those values"}}'
TOO_MANY = Reply(429, b"Too many API requests.", None, TEXT)


def _array(objects: Sequence[Mapping[str, str]]) -> bytes:
    return b"[" + b",".join(frames.join(values) for values in objects) + b"]"


class Rest:
    """REST answers from what was published so far; trades and candles trail by `lag`."""

    def __init__(self, board: Board, markets: Sequence[Market], lag: RestLag = NO_LAG) -> None:
        self._board = board
        self._markets = {market.code: market for market in markets}
        self._lag = lag
        self.behind_ms = 0  # a fault: trades and candles trail so much more
        self._routes: dict[str, tuple[str, Callable[[Query, int], bytes]]] = {
            "/v1/market/all": ("market", self._market_all),
            "/v1/ticker": ("ticker", self._ticker),
            "/v1/ticker/all": ("ticker", self._ticker_all),
            "/v1/orderbook": ("orderbook", self._orderbook),
            "/v1/orderbook/instruments": ("orderbook", self._instruments),
            "/v1/trades/ticks": ("crix-trades", self._ticks),
        }
        for kind in candles.WINDOWS:
            self._routes[f"/v1/candles/{kind}"] = ("candles", partial(self._candles, kind))

    def relist(self, markets: Sequence[Market]) -> None:
        """Replaces the list of markets."""
        self._markets = {market.code: market for market in markets}

    def group(self, path: str) -> str | None:
        """Returns the rate-limit group of a path, None for an unknown path."""
        route = self._routes.get(path)
        return route[0] if route else None

    def answer(self, path: str, given: Query, now_ms: int) -> Reply:
        """Returns the reply at the exchange's time `now_ms`."""
        route = self._routes.get(path)
        if route is None:
            return Reply(404, _NO_ROUTE)
        group, handler = route
        try:
            return Reply(200, handler(given, now_ms), group)
        except RestError as error:
            body = msgspec.json.encode({"error": {"name": error.status, "message": error.message}})
            return Reply(error.status, body, group)

    def _known(self, codes: str, upper: bool = False) -> list[str]:
        wanted = [code.strip() for code in (codes.upper() if upper else codes).split(",") if code.strip()]
        if not all(code in self._markets for code in wanted):
            raise RestError(*query.UNKNOWN_MARKET)
        return wanted

    def _one(self, code: str) -> str:
        if code not in self._markets:
            raise RestError(*query.UNKNOWN_MARKET)
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

    def _market_all(self, given: Query, _now_ms: int) -> bytes:
        details = given.get("is_details", "false").lower() == "true"
        return msgspec.json.encode(
            [
                listing.named(m) | ({"market_event": listing.market_event(m.code)} if details else {})
                for m in self._markets.values()
            ]
        )

    def _ticker(self, given: Query, _now_ms: int) -> bytes:
        return self._last("ticker", self._known(query.required(given, "markets")), answers.ticker)

    def _ticker_all(self, given: Query, _now_ms: int) -> bytes:
        quotes = {quote.strip() for quote in query.required(given, "quote_currencies").upper().split(",")}
        return self._last("ticker", [code for code in self._markets if code.split("-")[0] in quotes], answers.ticker)

    def _orderbook(self, given: Query, _now_ms: int) -> bytes:
        codes = self._known(query.required(given, "markets"), upper=True)
        count = min(query.integer(given, "count", 30, 1, 1 << 31), 30)
        level = query.level(given)
        if level:
            codes = [code for code in codes if level in self.levels(code)]
        return self._last("orderbook", codes, partial(answers.orderbook, count=count, level=level))

    def levels(self, code: str) -> list[int]:
        """Returns the levels (10^-8) at which the code's book can be had; none while it has no trade."""
        price = self._board.history.last_price(code)
        return [] if price is None else levels.supported(code, price)

    def _instruments(self, given: Query, _now_ms: int) -> bytes:
        codes = self._known(given["markets"]) if given.get("markets") else list(self._markets)
        prices = {code: self._board.history.last_price(code) for code in codes}
        return msgspec.json.encode(
            [
                {
                    "market": code,
                    "quote_currency": code.partition("-")[0],
                    "tick_size": spelling.stripped(levels.tick_size(code, price)),
                    "supported_levels": [spelling.stripped(level) for level in levels.supported(code, price)],
                }
                for code, price in prices.items()
                if price is not None
            ]
        )

    def _ticks(self, given: Query, now_ms: int) -> bytes:
        code = self._one(query.required(given, "market"))
        count = query.integer(given, "count", 1, 1, 500)
        cursor = query.integer(given, "cursor", 0, 0, 1 << 62) or None
        begin = (now_ms // DAY_MS - query.integer(given, "days_ago", 0, 1, 7)) * DAY_MS
        end = begin + (query.time_of_day(given["to"]) if given.get("to") else DAY_MS)
        end = min(end, self._visible_ms(code, now_ms))
        page = self._board.history.newest(code, begin, end, cursor, count)
        return _array([answers.tick(code, trade, close) for trade, close in page])

    def _candles(self, kind: str, given: Query, now_ms: int) -> bytes:
        code = self._one(query.required(given, "market"))
        count = query.integer(given, "count", 1, 1, 200)
        to_ms = min(query.moment(given["to"]), now_ms + 1) if given.get("to") else now_ms + 1
        visible_ms = self._visible_ms(code, now_ms)
        found = candles.newest(self._board.history, code, candles.WINDOWS[kind], to_ms, count, visible_ms)
        rows = [answers.candle(code, candle, kind) for candle in found]
        if kind == "days" and given.get("converting_price_unit"):
            rows = [row | self._converted(code, candle, given) for row, candle in zip(rows, found, strict=True)]
        return _array(rows)

    def _visible_ms(self, code: str, now_ms: int) -> int:
        return min(self._lag.visible_ms(code, now_ms), now_ms - self.behind_ms if self.behind_ms else 1 << 62)

    def _converted(self, code: str, candle: candles.Candle, given: Query) -> dict[str, str]:
        """The day's close in KRW, by the KRW market of the quote currency at the day's end."""
        if given["converting_price_unit"] != "KRW":
            raise RestError(*query.INVALID)
        quote = code.partition("-")[0]
        rate = spelling.UNIT
        if quote != "KRW":
            rate = self._board.history.last_price(f"KRW-{quote}", candle.start_ms + DAY_MS) or 0
        return {"converted_trade_price": spelling.fixed8(candle.closing * rate // spelling.UNIT)}
