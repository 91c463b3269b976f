"""A believable market: events in exchange time, drawn from a seed. No clock, no socket, no file.

Hot and quiet codes by a Zipf-like weight, prices that walk on the KRW tick grid because orders at the best levels are
cancelled, improved and consumed, books of 30 levels, trades at the book's best price. The sequence of events depends
on seed, start, codes and rate only: never on how often or how late `take` is called.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

import msgspec

from upbit_exchange import frames
from upbit_exchange.book import DEPTH, Book, Side, down, on_grid, up
from upbit_exchange.history import History, Trade
from upbit_exchange.listing import Market
from upbit_exchange.spelling import UNIT
from upbit_exchange.tape import Tape, TradePriceSpelling
from upbit_exchange.wire import STREAMS, Channel, Event

TRADE_SHARE, TICKER_SHARE = 0.15, 0.25
PUBLISH_DELAY_MS = (36, 58)
BOOK_GRID_MS = 100
MIN_ORDER_KRW = 5_000
MAX_SIZE = 10**11 * UNIT  # in 1e-8; a market of 0.0008 KRW would otherwise show sizes that no client's column takes

Published = Mapping[tuple[Channel, str], Event]


class _Code:
    """One market's moving state."""

    __slots__ = ("anchor", "book", "book_ms", "phase", "tape", "ticker_key")

    def __init__(self, tape: Tape, book: Book, phase: int) -> None:
        self.tape = tape
        self.book = book
        self.phase = phase
        self.anchor = tape.last.price
        self.book_ms = 0
        self.ticker_key = (0, -1)


class LocalMarket:
    """The source of a market's events. `rate` = events a second of exchange time over all codes and streams."""

    ended = False

    def __init__(
        self, markets: Sequence[Market], rate: float, seed: int, start_ms: int, trade_price: TradePriceSpelling
    ) -> None:
        self.markets = list(markets)
        self._rate = rate / 1000
        self._seed = seed
        self._trade_price = trade_price
        self._random = random.Random(f"{seed}")
        self._weights = list(accumulate(1 / (rank + 2) for rank in range(len(self.markets))))
        self._codes = [self._open(rank, market, start_ms) for rank, market in enumerate(self.markets)]
        self.begin(start_ms)

    # --- beginning -------------------------------------------------------------------------------------------------

    def begin(self, ms: int) -> None:
        """Events follow from `ms` on. The first ones come late enough for their match to lie after it."""
        self._next = ms + PUBLISH_DELAY_MS[1] + 1 + self._random.expovariate(self._rate)

    def initial(self) -> list[Event]:
        """The state every code has before its first event: last trade, ticker, book, all stamped before the start."""
        events = []
        for code in self._codes:
            shown = code.tape.last.ms + PUBLISH_DELAY_MS[0]
            code.book_ms = shown
            code.ticker_key = (shown, code.tape.ask_volume + code.tape.bid_volume)
            for event in (code.tape.trade_event(shown, code.book), code.tape.ticker_event(shown), _book(code, shown)):
                events.append(msgspec.structs.replace(event, frame=frames.snapshot(event.frame)))
        return events

    def restore(self, last: Published, history: History, published: int) -> None:
        """Go on from what was published before: the `last` event of each stream and code and all trades.

        The draws that follow depend on the seed and on how much was published.
        """
        self._random = random.Random(f"{self._seed}:{published}")
        for code in self._codes:
            name = code.tape.code
            if all((stream, name) in last for stream in STREAMS):
                _restore(code, last, history, self._trade_price)

    def _open(self, rank: int, market: Market, start_ms: int) -> _Code:
        draw = self._random
        price = market.price or int(10 ** draw.uniform(0.7, 4.3) * UNIT)
        price = on_grid(int(price * draw.uniform(0.97, 1.03)))
        close = on_grid(int(price * draw.uniform(0.95, 1.05)))
        quiet_ms = int(draw.uniform(1_000, 2_000) + 30_000 * draw.random() * rank)
        ms = start_ms - min(quiet_ms, 7_200_000)
        book = Book()
        for side, step in ((book.asks, up), (book.bids, down)):
            level = step(price) if side is book.asks else price
            for index in range(DEPTH):
                side.insert(index, level, self._size(level))
                level = step(level) if draw.random() < 0.8 else step(step(level))
        first = Trade(ms, price, self._volume(price), "ASK", ms * 10_000)
        return _Code(Tape(market.code, close, first, self._trade_price), book, draw.randrange(BOOK_GRID_MS))

    # --- going on --------------------------------------------------------------------------------------------------

    def take(self, until_ms: int, limit: int) -> list[Event]:
        """The events due up to `until_ms`, at most `limit`, in order of publication."""
        events: list[Event] = []
        while self._next <= until_ms and len(events) < limit:
            now = int(self._next)
            self._next += self._random.expovariate(self._rate)
            kind = self._random.random()
            if kind < TRADE_SHARE:
                events.append(self._trade(self._pick(), now))
            elif kind < TRADE_SHARE + TICKER_SHARE:
                events.append(self._ticker(self._pick(), now))
            else:
                events.append(self._change_book(now))
        return events

    def _pick(self) -> _Code:
        return self._codes[bisect_left(self._weights, self._random.random() * self._weights[-1])]

    def _trade(self, code: _Code, now: int) -> Event:
        draw, tape = self._random, code.tape
        ms = max(now - draw.randint(*PUBLISH_DELAY_MS), tape.last.ms)
        buys = draw.random() < self._buy_share(code)
        side = code.book.asks if buys else code.book.bids
        price = side.prices[0]
        volume = min(self._volume(price), side.sizes[0])
        tape.add(Trade(ms, price, volume, "BID" if buys else "ASK", tape.next_id(ms)))
        if volume == side.sizes[0]:
            self._drop_best(side)
        else:
            side.resize(0, side.sizes[0] - volume)
        return tape.trade_event(now, code.book)

    def _ticker(self, code: _Code, now: int) -> Event:
        tape = code.tape
        # A trade that is published later was matched after this moment: the day rolls only then.
        tape.roll(now - PUBLISH_DELAY_MS[1])
        volume = tape.ask_volume + tape.bid_volume
        stamp, shown = code.ticker_key
        now = max(now, stamp + 1 if volume == shown else stamp)
        code.ticker_key = (now, volume)
        return tape.ticker_event(now)

    def _change_book(self, now: int) -> Event:
        code = self._pick()
        for _ in range(3):
            if _grid(code, now) > code.book_ms:
                break
            code = self._pick()
        for _ in range(self._random.randint(1, 3)):
            self._act(code)
        stamp = _grid(code, now)
        return _book(code, stamp if stamp > code.book_ms else max(now, code.book_ms + 1))

    def _act(self, code: _Code) -> None:
        draw = self._random
        action, ask = draw.random(), draw.random() < self._buy_share(code)
        asks, bids = code.book.asks, code.book.bids
        side = asks if ask else bids
        if action < 0.08:
            self._drop_best(side)
        elif action < 0.25 and up(bids.prices[0]) < asks.prices[0]:
            # The other way round than a cancelled best ask, which lifts the price: a better bid lifts it too.
            better = up(bids.prices[0]) if ask else down(asks.prices[0])
            (bids if ask else asks).insert(0, better, self._size(better))
        else:
            index = min(int(draw.expovariate(0.15)), DEPTH - 1)
            side.resize(index, self._size(side.prices[index]))

    def _drop_best(self, side: Side) -> None:
        side.remove(0)
        price = side.deeper(1 if self._random.random() < 0.8 else 2)
        side.insert(DEPTH - 1, price, self._size(price))

    def _buy_share(self, code: _Code) -> float:
        """Probability of an upward move: a half at the anchor, leaning back to it when the price strayed."""
        strayed = code.tape.last.price / code.anchor - 1
        return 0.5 - max(-0.35, min(0.35, strayed * 8))

    def _size(self, price: int) -> int:
        return self._worth(self._random.lognormvariate(15.0, 1.4), price)

    def _volume(self, price: int) -> int:
        return self._worth(self._random.lognormvariate(11.5, 1.6) + MIN_ORDER_KRW, price)

    def _worth(self, krw: float, price: int) -> int:
        return min(max(int(krw * UNIT) * UNIT // price, 1), MAX_SIZE)


def _grid(code: _Code, now: int) -> int:
    """Books of busy markets are stamped on a 100 ms grid with a phase per market."""
    return now - (now - code.phase) % BOOK_GRID_MS


def _book(code: _Code, stamp: int) -> Event:
    code.book_ms = stamp
    name = code.tape.code
    return Event("orderbook", name, {"code": name, "timestamp": str(stamp)}, stamp, code.book.frame(name, stamp))


def _restore(code: _Code, last: Published, history: History, trade_price: TradePriceSpelling) -> None:
    name = code.tape.code
    trades = list(history.trades(name))
    tape = Tape(name, history.first_close(name), trades[0], trade_price)
    for trade in trades[1:]:
        tape.add(trade)
    ticker, book = last["ticker", name], last["orderbook", name]
    code.tape = tape
    code.anchor = tape.close
    code.book = Book()
    code.book.load(frames.units(frames.fields(book.frame)["orderbook_units"]))
    code.book_ms = book.time
    code.ticker_key = (ticker.time, tape.ask_volume + tape.bid_volume)
