"""Trades fetched by REST take the same way as those of the socket: gate, spool, topic."""

import itertools

from upbit_ingester.clock import Clock
from upbit_ingester.continuity.refetch import Target
from upbit_ingester.delivery.pump import DEAD_LETTER, Item, Pump, keep
from upbit_ingester.gate.gate import Accepted, Gate, Rejected
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.gap_log import Gap, Gaps
from upbit_ingester.spool.record import Record
from upbit_ingester.spool.state import Change, State
from upbit_ingester.upbit.rest_trades import RestTrade, websocket_frame


class RestSink:
    """The sink of fetched trades sends them through gate and spool into their topic, marked `source=rest`."""

    def __init__(self, stream: str, pump: Pump, state: State, metrics: Metrics, gaps: Gaps, clock: Clock) -> None:
        """`stream`: the one of the trades."""
        self._stream = stream
        self._clock = clock
        self._gaps = gaps
        self._pump = pump
        self._state = state
        self._metrics = metrics
        self._gate = Gate(stream)
        self._numbers = itertools.count(1)
        self._connection = f"{clock.wall_ms():x}-rest".encode()

    def keep(self, trade: RestTrade) -> None:
        """Keep one trade like any other."""
        data = websocket_frame(self._stream, trade)
        headers = (
            ("source", b"rest"),
            ("conn", self._connection),
            ("frame", b"%d" % next(self._numbers)),
            ("recv_ns", b"%d" % self._clock.wall_ns()),
        )
        result = self._gate.check(data)
        if isinstance(result, Accepted):
            change = Change("seen", self._stream, result.code, result.event_ms, 0, result.sequential_id)
            keep(self._pump, self._state, Item(self._stream, Record(result.code.encode(), headers, data), change))
            return
        reason = result.reason if isinstance(result, Rejected) else "REST sent no trade"
        self._metrics.dead_lettered[self._stream] += 1
        record = Record(trade.market.encode() or b"unknown", (*headers, ("reason", reason.encode())), data)
        self._pump.offer(Item(DEAD_LETTER, record, None))

    def healed(self, code: str) -> None:
        """Everything that can be had of `code` is kept now."""
        keep(self._pump, self._state, Item(self._stream, None, Change("healed", self._stream, code, 0)))

    def unreachable(self, target: Target, reached_ms: int) -> None:
        """REST reaches back to `reached_ms` only: what the target misses before it is gone, and the record says so."""
        gap = Gap(self._stream, 1, "unreachable", target.from_ms, reached_ms, 0, 0, target.code)
        self._metrics.gaps[self._stream] += 1
        self._gaps.record(gap)
        self.healed(target.code)
