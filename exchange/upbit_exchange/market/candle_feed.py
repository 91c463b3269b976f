"""The candle feed derives the WebSocket's candle channels from the published trades, for those who subscribed."""

from __future__ import annotations

from collections.abc import Iterable

from upbit_exchange.market import candles
from upbit_exchange.market.candles import Candle
from upbit_exchange.market.history import History
from upbit_exchange.market.tape import KST_MS, utc
from upbit_exchange.wire import spelling
from upbit_exchange.wire.names import CANDLES, Channel, Event, Update

# A trade is published up to 58 ms after its match: then the trades of a second are all there.
SETTLED_AFTER_MS = 60

_FRAME = (
    '{"type":"%s","code":"%s","candle_date_time_utc":"%s","candle_date_time_kst":"%s","opening_price":%s,'
    '"high_price":%s,"low_price":%s,"trade_price":%s,"candle_acc_trade_volume":%s,"candle_acc_trade_price":%s,'
    '"timestamp":%d,"stream_type":"REALTIME"}'
)


class CandleFeed:
    """The feed looks once a second of exchange time and sends a code's candle if a trade changed it, also at its end.

    Always the whole candle, summed up from all trades known by then; the last frame of a window is its exact sum.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._wanted: dict[str, list[Channel]] = {}
        self._traded: dict[str, set[int]] = {}
        self._sent: dict[tuple[Channel, str], Candle] = {}
        self._settled = 0

    def want(self, subscribed: Iterable[tuple[Channel, str]]) -> None:
        """Computes these (channel, code) from now on and no others; channels without candles are left out."""
        self._wanted = {}
        for channel, code in subscribed:
            if channel in CANDLES:
                self._wanted.setdefault(code, []).append(channel)
        self._traded = {code: seconds for code, seconds in self._traded.items() if code in self._wanted}
        self._sent = {key: candle for key, candle in self._sent.items() if key[0] in self._wanted.get(key[1], ())}

    def latest(self, channel: Channel, code: str, now_ms: int) -> Update | None:
        """Returns what the SNAPSHOT shows: the running candle, or the one before if no trade came yet."""
        found = candles.newest(self._history, code, candles.CHANNEL_WINDOWS[channel], now_ms + 1, 1)
        return Update(channel, code, frame(channel, code, found[0])) if found else None

    def published(self, events: Iterable[Event]) -> None:
        """Notes the trades that are on the board now. A trade of a second that is over changes no closed candle."""
        if not self._wanted:
            return
        for event in events:
            second = event.time // candles.SECOND_MS
            if event.stream == "trade" and event.code in self._wanted and second >= self._settled:
                self._traded.setdefault(event.code, set()).add(second)

    def due(self, now_ms: int) -> list[Update]:
        """Returns the frames due at `now_ms`, by which all events up to then have been published."""
        settled = (now_ms - SETTLED_AFTER_MS) // candles.SECOND_MS
        if settled <= self._settled:
            return []
        self._settled = settled
        updates: list[Update] = []
        for code, seconds in self._traded.items():
            over = sorted(second for second in seconds if second < settled)
            seconds.difference_update(over)
            for channel in self._wanted[code] if over else ():
                updates += self._changed(channel, code, over)
        return updates

    def _changed(self, channel: Channel, code: str, seconds: list[int]) -> Iterable[Update]:
        """The channel's candles of these seconds: one, unless the exchange's clock runs fast."""
        window = candles.CHANNEL_WINDOWS[channel]
        for start, end in dict.fromkeys(window(second * candles.SECOND_MS) for second in seconds):
            candle = candles.between(self._history, code, start, end)
            if candle is not None and candle != self._sent.get((channel, code)):
                self._sent[channel, code] = candle
                yield Update(channel, code, frame(channel, code, candle))


def frame(channel: Channel, code: str, candle: Candle) -> bytes:
    """A candle as a DEFAULT REALTIME frame: every number with 8 decimals, the value with 16 where it needs them."""
    text = _FRAME % (
        channel,
        code,
        "T".join(utc(candle.start_ms)),
        "T".join(utc(candle.start_ms + KST_MS)),
        *map(spelling.fixed8, (candle.opening, candle.high, candle.low, candle.closing, candle.volume)),
        spelling.product(candle.value),
        candle.stamp_ms,
    )
    return text.encode()
