"""One stream's frames on their way from its sockets to the pump: judged, counted, compared, handed on."""

import logging
import time
from collections.abc import Iterable, Iterator

from upbit_ingester.continuity.continuity import Continuity, Shared
from upbit_ingester.delivery.pump import DEAD_LETTER, Item, keep
from upbit_ingester.gate.gate import Accepted, Control, Gate, Rejected
from upbit_ingester.spool.record import Record
from upbit_ingester.spool.state import Change
from upbit_ingester.streams.repeats import RecentFrames
from upbit_ingester.upbit.socket import Socket

log = logging.getLogger(__name__)

_SAY_AGAIN_S = 10.0


class StreamSink:
    """Takes what all sockets of one stream bring."""

    def __init__(self, stream: str, shared: Shared, sockets: int = 1) -> None:
        """`sockets`: how many bring the stream, each of them the whole of it."""
        self.name = stream
        self._shared = shared
        self._gate = Gate(stream)
        self._recent = RecentFrames() if sockets > 1 else None
        self._refused: dict[str | None, int] = {}  # hash of each code's last frame that did not pass the gate
        self._shedding = False
        self._unsaid = 0
        self._say_again_s = 0.0
        self.sockets = tuple(Socket() for _ in range(sockets))
        self.continuity = Continuity(stream, shared, self.sockets)

    def is_full(self) -> bool:
        """True when reading must pause."""
        return self._shared.pump.is_full()

    async def room(self) -> None:
        """Return when frames may be read."""
        await self._shared.pump.room()

    def frame(self, socket: Socket, connection: str, number: int, data: bytes, received_ns: int) -> bool:
        """Take one frame that `socket` received; True when it was data."""
        if self._recent is not None and data in self._recent:
            self._repeated(socket, data, received_ns)
            return True
        verdict = self._gate.check(data)
        if isinstance(verdict, Control):
            self._control(verdict)
            return False
        socket.last_ns = received_ns
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
                self._received(data, received_ms)
                self._dead_letter(verdict, headers, data)
        elif verdict.snapshot:
            self._snapshot(socket, verdict, Record(verdict.code.encode(), headers, data), received_ms)
        else:
            self._received(data, received_ms)
            self._live(socket, verdict, Record(verdict.code.encode(), headers, data), received_ms)
        return True

    # -- what happens to a frame ---------------------------------------------------------------------------------

    def _received(self, data: bytes, received_ms: int) -> None:
        """Whatever is published shows that the exchange lives, a frame in a new format too."""
        self._shared.metrics.received[self.name] += 1
        self._shared.metrics.last_received_s[self.name] = received_ms / 1000
        if self._recent is not None:
            self._recent.add(data)

    def _repeated(self, socket: Socket, data: bytes, received_ns: int) -> None:
        """The other socket was first: the frame is dropped, but it shows what this socket carries."""
        socket.last_ns = received_ns
        self._shared.metrics.duplicates[self.name] += 1
        if self.continuity.doubts and isinstance(verdict := self._gate.check(data), Accepted):
            self.continuity.settle(socket, verdict)

    def _control(self, control: Control) -> None:
        if control.error is not None:
            self._shared.metrics.error_frames[self.name] += 1
            log.error("%s: the exchange answers with an error: %s", self.name, control.error)

    def _dead_letter(self, verdict: Rejected, headers: tuple[tuple[str, bytes], ...], data: bytes) -> None:
        self._shared.metrics.dead_lettered[self.name] += 1
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
            log.warning("%s: %d new dead letters, the last one: %s", self.name, self._unsaid, reason)
            self._say_again_s, self._unsaid = now_s + _SAY_AGAIN_S, 0

    def _shed(self) -> bool:
        """Order books make room when the spool nears its bound: they alone cannot be missed by key later."""
        if self.name != "orderbook" or not self._shared.pump.must_shed():
            self._shedding = False
            return False
        if not self._shedding:
            self._shedding = True
            log.error("orderbook: the spool nears its bound, frames are dropped until there is room")
            self.continuity.shed()
        self._shared.metrics.shed[self.name] += 1
        return True

    def _live(self, socket: Socket, verdict: Accepted, record: Record, received_ms: int) -> None:
        if self.continuity.doubts:
            self.continuity.settle(socket, verdict)
        if self._shed():
            return
        self._count_unknown(verdict)
        self.continuity.live(socket, verdict, received_ms)
        self._shared.metrics.last_event_ms[self.name] = verdict.event_ms
        change = Change("seen", self.name, verdict.code, verdict.event_ms, received_ms, verdict.sequential_id)
        keep(self._shared.pump, self._shared.state, Item(self.name, record, change))

    def _count_unknown(self, verdict: Accepted) -> None:
        for name in verdict.unknown_fields:
            self._shared.metrics.unknown_fields[self.name, name] += 1

    def _snapshot(self, socket: Socket, verdict: Accepted, record: Record, received_ms: int) -> None:
        """Keep a SNAPSHOT unless it repeats what the code's spool took last.

        A silent exchange is connected to again and again: its SNAPSHOTs must not look like news to what reads Kafka.
        """
        self._shared.metrics.snapshots[self.name] += 1
        if not self.continuity.snapshot(socket, verdict, received_ms):
            return
        self._shared.metrics.received[self.name] += 1
        if self._shed():
            return
        self._count_unknown(verdict)
        self.continuity.snapshot_kept(verdict)
        self._shared.pump.offer(Item(self.name, record, None))


def changes_of(stream: str, records: Iterable[Record]) -> Iterator[Change]:
    """The steps of the state that spooled `records` stand for; SNAPSHOTs stand for none."""
    gate = Gate(stream)
    for record in records:
        verdict = gate.check(record.value)
        if isinstance(verdict, Accepted) and not verdict.snapshot:
            received_ns = dict(record.headers).get("recv_ns", b"0")
            received_ms = int(received_ns) // 1_000_000 if received_ns.isdigit() else 0
            yield Change("seen", stream, verdict.code, verdict.event_ms, received_ms, verdict.sequential_id)
