"""One stream's frames on their way from the socket to the pump: judged, counted, compared, handed on."""

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from upbit_ingester import gaps, refetch
from upbit_ingester.gaps import Gap, GapTracker
from upbit_ingester.gate import Accepted, Control, Gate, Rejected
from upbit_ingester.metrics import Metrics
from upbit_ingester.pump import DEAD_LETTER, Item, Pump
from upbit_ingester.record import Record
from upbit_ingester.refetch import Target
from upbit_ingester.rest_trades import RestTrade, websocket_frame
from upbit_ingester.state import Change, State

log = logging.getLogger(__name__)

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
        self._first_seen: set[str] = set()  # codes whose first trade of this connection was compared
        self._missed = False  # the gap that is open has cost something
        self._last: dict[str, tuple[int, bytes]] = {}  # key of the last frame that each code's spool took
        self._refused: dict[str | None, int] = {}  # hash of each code's last frame that did not pass the gate
        self._shedding = False
        self._unsaid = 0
        self._say_again_s = 0.0

    # -- the session's view --------------------------------------------------------------------------------------

    def connected(self) -> None:
        """See Sink."""
        metrics = self._shared.metrics
        metrics.connected[self._stream] = 1
        metrics.last_received_s.setdefault(self._stream, time.time())  # silence counts from the first connect
        self._snapshots.clear()
        self._first_seen.clear()

    def missing_snapshots(self) -> int:
        """See Sink."""
        missing = len(set(self._shared.codes()) - self._snapshots)
        self._shared.metrics.missing_snapshots[self._stream] = missing
        return missing

    def lost(self, cause: str) -> None:
        """See Sink."""
        self._shared.metrics.connected[self._stream] = 0
        self._shared.metrics.reconnects[self._stream, cause] += 1
        if not self._gaps.is_open:
            self._missed = False
        self._gaps.lost(self._shared.state.streams.get(self._stream), cause)

    def is_full(self) -> bool:
        """See Sink."""
        return self._shared.pump.is_full()

    async def room(self) -> None:
        """See Sink."""
        await self._shared.pump.room()

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
        received_ms = received_ns // 1_000_000
        if isinstance(verdict, Rejected):
            # The SNAPSHOT of a frame that was refused comes again with each connection.
            if self._refused.get(verdict.code) != hash(data):
                self._received(received_ms)
                self._dead_letter(verdict, headers, data)
        elif verdict.snapshot:
            self._snapshot(verdict, Record(verdict.code.encode(), headers, data))
        else:
            self._received(received_ms)
            self._live(verdict, Record(verdict.code.encode(), headers, data), received_ms)
        return True

    # -- what happens to a frame ---------------------------------------------------------------------------------

    def _received(self, received_ms: int) -> None:
        """Whatever is published shows that the exchange lives, a frame in a new format too."""
        self._shared.metrics.received[self._stream] += 1
        self._shared.metrics.last_received_s[self._stream] = received_ms / 1000

    def _control(self, control: Control) -> None:
        if control.error is not None:
            self._shared.metrics.error_frames[self._stream] += 1
            log.error("%s: the exchange answers with an error: %s", self._stream, control.error)

    def _dead_letter(self, verdict: Rejected, headers: tuple[tuple[str, bytes], ...], data: bytes) -> None:
        self._shared.metrics.dead_lettered[self._stream] += 1
        self._refused[verdict.code] = hash(data)
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
            self._missed = True
            self._gaps.lost(self._shared.state.streams.get(self._stream), "shed")
        self._shared.metrics.shed[self._stream] += 1
        return True

    def _live(self, verdict: Accepted, record: Record, received_ms: int) -> None:
        if self._shed():
            return
        self._count_unknown(verdict)
        self._compare(verdict)
        if self._gaps.is_open:
            self._close_gap(verdict.event_ms, received_ms)
        self._shared.metrics.last_event_ms[self._stream] = verdict.event_ms
        self._last[verdict.code] = verdict.key
        self._keep(
            Item(
                self._stream,
                record,
                Change("seen", self._stream, verdict.code, verdict.event_ms, received_ms, verdict.sequential_id),
            )
        )

    def _count_unknown(self, verdict: Accepted) -> None:
        for name in verdict.unknown_fields:
            self._shared.metrics.unknown_fields[self._stream, name] += 1

    def _close_gap(self, event_ms: int, received_ms: int) -> None:
        codes = self._shared.codes()
        if not self._missed and self._snapshots.issuperset(codes):
            self._gaps.dismiss()
            return
        gap = self._gaps.seen(event_ms, received_ms, len(codes))
        if gap is not None:
            self._shared.metrics.gaps[self._stream] += 1
            gaps.append(self._shared.gaps_path, gap)

    def _snapshot(self, verdict: Accepted, record: Record) -> None:
        """Keep a SNAPSHOT unless it repeats what the code's spool took last.

        A silent exchange is connected to again and again: its SNAPSHOTs must not look like news to what reads Kafka.
        """
        self._shared.metrics.snapshots[self._stream] += 1
        self._snapshots.add(verdict.code)
        repeated = self._last.get(verdict.code) == verdict.key
        if self._stream == "trade":
            self._compare(verdict)
        elif not repeated:
            self._missed = True
        if repeated:
            return
        self._shared.metrics.received[self._stream] += 1
        if self._shed():
            return
        self._count_unknown(verdict)
        self._last[verdict.code] = verdict.key
        self._shared.pump.offer(Item(self._stream, record, None))

    def _compare(self, verdict: Accepted) -> None:
        """The first trade of a code on a connection, SNAPSHOT or not: is it one that is kept already?"""
        if self._stream != "trade" or verdict.code in self._first_seen:
            return
        self._first_seen.add(verdict.code)
        known = self._shared.state.trades.get(verdict.code)
        decision = refetch.decide(verdict.code, verdict.sequential_id, verdict.event_ms, known)
        if decision == "complete":
            return
        self._missed = True
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

    def __init__(self, pump: Pump, state: State, metrics: Metrics, gaps_path: Path) -> None:
        self._gaps_path = gaps_path
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
        """Everything that can be had of `code` is kept now."""
        change = Change("healed", "trade", code, 0)
        self._state.apply(change)
        self._pump.offer(Item("trade", None, change))

    def unreachable(self, target: Target, reached_ms: int) -> None:
        """REST reaches back to `reached_ms` only: what the target misses before it is gone, and the record says so."""
        gap = Gap("trade", 1, "unreachable", target.from_ms, reached_ms, 0, 0, target.code)
        self._metrics.gaps["trade"] += 1
        gaps.append(self._gaps_path, gap)
        self.healed(target.code)


def changes_of(stream: str, records: Iterable[Record]) -> Iterator[Change]:
    """The steps of the state that spooled `records` stand for; SNAPSHOTs stand for none."""
    gate = Gate(stream)
    for record in records:
        verdict = gate.check(record.value)
        if isinstance(verdict, Accepted) and not verdict.snapshot:
            received_ns = dict(record.headers).get("recv_ns", b"0")
            received_ms = int(received_ns) // 1_000_000 if received_ns.isdigit() else 0
            yield Change("seen", stream, verdict.code, verdict.event_ms, received_ms, verdict.sequential_id)
