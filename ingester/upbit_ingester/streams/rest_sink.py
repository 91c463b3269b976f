"""Where trades fetched by REST go: the same gate, spool and topic as what the socket brings."""

import itertools
import time

from upbit_ingester.continuity.refetch import Target
from upbit_ingester.delivery.pump import DEAD_LETTER, Item, Pump, keep
from upbit_ingester.gate.gate import Accepted, Gate, Rejected
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.gap_log import Gap, Gaps
from upbit_ingester.spool.record import Record
from upbit_ingester.spool.state import Change, State
from upbit_ingester.upbit.rest_trades import RestTrade, websocket_frame


class RestSink:
    """Where trades fetched by REST go: the same gate, spool and topic, marked `source=rest`."""

    def __init__(self, pump: Pump, state: State, metrics: Metrics, gaps: Gaps) -> None:
        self._gaps = gaps
        self._pump = pump
        self._state = state
        self._metrics = metrics
        self._gate = Gate("trade")
        self._numbers = itertools.count(1)
        self._connection = f"{time.time_ns() // 1_000_000:x}-rest".encode()

    def keep(self, trade: RestTrade) -> None:
        """Keep one trade like any other."""
        data = websocket_frame(trade)
        headers = (
            ("source", b"rest"),
            ("conn", self._connection),
            ("frame", b"%d" % next(self._numbers)),
            ("recv_ns", b"%d" % time.time_ns()),
        )
        verdict = self._gate.check(data)
        if isinstance(verdict, Accepted):
            change = Change("seen", "trade", verdict.code, verdict.event_ms, 0, verdict.sequential_id)
            keep(self._pump, self._state, Item("trade", Record(verdict.code.encode(), headers, data), change))
            return
        reason = verdict.reason if isinstance(verdict, Rejected) else "REST sent no trade"
        self._metrics.dead_lettered["trade"] += 1
        record = Record(trade.market.encode() or b"unknown", (*headers, ("reason", reason.encode())), data)
        self._pump.offer(Item(DEAD_LETTER, record, None))

    def healed(self, code: str) -> None:
        """Everything that can be had of `code` is kept now."""
        keep(self._pump, self._state, Item("trade", None, Change("healed", "trade", code, 0)))

    def unreachable(self, target: Target, reached_ms: int) -> None:
        """REST reaches back to `reached_ms` only: what the target misses before it is gone, and the record says so."""
        gap = Gap("trade", 1, "unreachable", target.from_ms, reached_ms, 0, 0, target.code)
        self._metrics.gaps["trade"] += 1
        self._gaps.record(gap)
        self.healed(target.code)
