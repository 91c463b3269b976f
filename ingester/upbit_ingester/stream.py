"""One stream's frames on their way from the socket to the pump: judged, counted, compared, handed on."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from upbit_ingester import gaps, refetch
from upbit_ingester.gaps import GapTracker
from upbit_ingester.gate import Accepted, Control, Gate, Rejected
from upbit_ingester.metrics import Metrics
from upbit_ingester.pump import DEAD_LETTER, Item, Pump
from upbit_ingester.record import Record
from upbit_ingester.refetch import Target
from upbit_ingester.rest_trades import RestTrade, websocket_frame
from upbit_ingester.state import Change, State

log = logging.getLogger(__name__)

_FULL_POLL_S = 0.05
_SAY_AGAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What the streams share. `state` is the event loop's copy."""

    pump: Pump
    state: State
    metrics: Metrics
    gaps_path: Path
    codes: Callable[[], tuple[str, ...]]
    heal: Callable[[Target], None]


class StreamSink:
    """The Sink of one stream's session."""

    def __init__(self, stream: str, shared: Shared) -> None:
        self._stream = stream
        self._shared = shared
        self._gate = Gate(stream)
        self._gaps = GapTracker(stream, shared.state.streams.get(stream))
        self._snapshots: set[str] = set()
        self._shedding = False
        self._unsaid = 0
        self._say_again_s = 0.0

    # -- the session's view --------------------------------------------------------------------------------------

    def connected(self) -> None:
        """See Sink."""
        self._shared.metrics.connected[self._stream] = 1
        self._snapshots.clear()

    def missing_snapshots(self) -> int:
        """See Sink."""
        missing = len(set(self._shared.codes()) - self._snapshots)
        self._shared.metrics.missing_snapshots[self._stream] = missing
        return missing

    def lost(self, cause: str) -> None:
        """See Sink."""
        self._shared.metrics.connected[self._stream] = 0
        self._shared.metrics.reconnects[self._stream, cause] += 1
        self._gaps.lost(self._shared.state.streams.get(self._stream), cause)

    def is_full(self) -> bool:
        """See Sink."""
        return self._shared.pump.is_full()

    async def room(self) -> None:
        """See Sink."""
        while self._shared.pump.is_full():
            await asyncio.sleep(_FULL_POLL_S)

    def frame(self, connection: str, number: int, data: bytes, received_ns: int) -> bool:
        """See Sink."""
        verdict = self._gate.check(data)
        if isinstance(verdict, Control):
            self._control(verdict)
            return False
        headers = (
            ("source", b"ws"),
            ("conn", connection.encode()),
            ("frame", b"%d" % number),
            ("recv_ns", b"%d" % received_ns),
        )
        metrics = self._shared.metrics
        metrics.received[self._stream] += 1
        if isinstance(verdict, Rejected):
            self._dead_letter(verdict, headers, data)
            return True
        if self._shed():
            return True
        self._accept(verdict, Record(verdict.code.encode(), headers, data), received_ns // 1_000_000)
        return True

    # -- what happens to a frame ---------------------------------------------------------------------------------

    def _control(self, control: Control) -> None:
        if control.error is not None:
            self._shared.metrics.error_frames[self._stream] += 1
            log.error("%s: the exchange answers with an error: %s", self._stream, control.error)

    def _dead_letter(self, verdict: Rejected, headers: tuple[tuple[str, bytes], ...], data: bytes) -> None:
        self._shared.metrics.dead_lettered[self._stream] += 1
        self._say(verdict.reason)
        key = (verdict.code or "unknown").encode()
        record = Record(key, (*headers, ("reason", verdict.reason.encode())), data)
        self._shared.pump.offer(Item(DEAD_LETTER, record, None))

    def _say(self, reason: str) -> None:
        """A stream that turns bad turns bad a thousand times a second: one line a while, with the count."""
        self._unsaid += 1
        now_s = time.monotonic()
        if now_s >= self._say_again_s:
            log.warning("%s: %d new dead letters, the last one: %s", self._stream, self._unsaid, reason)
            self._say_again_s, self._unsaid = now_s + _SAY_AGAIN_S, 0

    def _shed(self) -> bool:
        """Order books make room when the spool nears its bound: they alone cannot be missed by key later."""
        if self._stream != "orderbook" or not self._shared.pump.must_shed():
            self._shedding = False
            return False
        if not self._shedding:
            self._shedding = True
            log.error("orderbook: the spool nears its bound, frames are dropped until there is room")
            self._gaps.lost(self._shared.state.streams.get(self._stream), "shed")
        self._shared.metrics.shed[self._stream] += 1
        return True

    def _accept(self, verdict: Accepted, record: Record, received_ms: int) -> None:
        metrics = self._shared.metrics
        metrics.last_received_s[self._stream] = received_ms / 1000
        for name in verdict.unknown_fields:
            metrics.unknown_fields[self._stream, name] += 1
        if verdict.snapshot:
            self._snapshot(verdict, record)
            return
        metrics.last_event_ms[self._stream] = verdict.event_ms
        if self._gaps.is_open:
            self._close_gap(verdict.event_ms, received_ms)
        self._keep(
            Item(
                self._stream,
                record,
                Change("seen", self._stream, verdict.code, verdict.event_ms, received_ms, verdict.sequential_id),
            )
        )

    def _close_gap(self, event_ms: int, received_ms: int) -> None:
        gap = self._gaps.seen(event_ms, received_ms, len(self._shared.codes()))
        if gap is not None:
            self._shared.metrics.gaps[self._stream] += 1
            gaps.append(self._shared.gaps_path, gap)

    def _snapshot(self, verdict: Accepted, record: Record) -> None:
        self._shared.metrics.snapshots[self._stream] += 1
        self._snapshots.add(verdict.code)
        self._shared.pump.offer(Item(self._stream, record, None))
        if self._stream == "trade":
            self._compare(verdict)

    def _compare(self, verdict: Accepted) -> None:
        """A trade SNAPSHOT repeats the code's last trade: is it one that is kept already?"""
        known = self._shared.state.trades.get(verdict.code)
        decision = refetch.decide(verdict.code, verdict.sequential_id, verdict.event_ms, known)
        if decision == "complete":
            return
        if decision == "baseline":
            baseline = Change("baseline", "trade", verdict.code, verdict.event_ms, 0, verdict.sequential_id)
            self._keep(Item("trade", None, baseline))
            return
        self._keep(Item("trade", None, Change("gap", "trade", verdict.code, verdict.event_ms)))
        self._shared.heal(decision)

    def _keep(self, item: Item) -> None:
        if item.change is not None:
            self._shared.state.apply(item.change)
        self._shared.pump.offer(item)


class RestSink:
    """Where trades fetched by REST go: the same gate, spool and topic, marked `source=rest`."""

    def __init__(self, pump: Pump, state: State, metrics: Metrics) -> None:
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
            self._state.apply(change)
            self._pump.offer(Item("trade", Record(verdict.code.encode(), headers, data), change))
            return
        reason = verdict.reason if isinstance(verdict, Rejected) else "REST sent no trade"
        self._metrics.dead_lettered["trade"] += 1
        record = Record(trade.market.encode() or b"unknown", (*headers, ("reason", reason.encode())), data)
        self._pump.offer(Item(DEAD_LETTER, record, None))

    def healed(self, code: str) -> None:
        """Everything that was missing of `code` is kept now."""
        change = Change("healed", "trade", code, 0)
        self._state.apply(change)
        self._pump.offer(Item("trade", None, change))


def changes_of(stream: str, records: Iterable[Record]) -> Iterator[Change]:
    """The steps of the state that spooled `records` stand for; SNAPSHOTs stand for none."""
    gate = Gate(stream)
    for record in records:
        verdict = gate.check(record.value)
        if isinstance(verdict, Accepted) and not verdict.snapshot:
            received_ns = dict(record.headers).get("recv_ns", b"0")
            received_ms = int(received_ns) // 1_000_000 if received_ns.isdigit() else 0
            yield Change("seen", stream, verdict.code, verdict.event_ms, received_ms, verdict.sequential_id)
