"""One stream's frames on their way from its sockets to the pump: judged, counted, compared, handed on."""

import logging
from collections.abc import Iterable, Iterator

from upbit_ingester.continuity.continuity import Continuity
from upbit_ingester.contract import Stream
from upbit_ingester.delivery.pump import DEAD_LETTER, Item, keep
from upbit_ingester.gate.gate import Accepted, Control, Gate, Rejected
from upbit_ingester.spool.record import Record
from upbit_ingester.spool.state import Change
from upbit_ingester.streams.repeats import RecentFrames
from upbit_ingester.streams.shared import Shared
from upbit_ingester.upbit.markets import named
from upbit_ingester.upbit.socket import Socket

log = logging.getLogger(__name__)

_SAY_AGAIN_S = 10.0


class StreamSink:
    """A stream's sink takes what all its sockets bring, and carries out what continuity decides about it."""

    def __init__(self, stream: Stream, shared: Shared, sockets: int = 1) -> None:
        """`sockets`: how many bring the stream, each of them the whole of it."""
        self.name = stream.name
        self._sheddable = stream.sheddable
        self._quiet_after_s = stream.quiet_after_s
        self._shared = shared
        self._metrics = shared.metrics
        self._now_s = shared.clock.monotonic_s
        self._gate = Gate(stream.name)
        self._recent = RecentFrames() if sockets > 1 else None
        self._refused: dict[str | None, int] = {}  # hash of each code's last frame that did not pass the gate
        self._shedding = False
        self._unsaid = 0
        self._say_again_s = 0.0
        self.sockets = tuple(Socket() for _ in range(sockets))
        self._continuity = Continuity(stream, shared.state, shared.codes, self.sockets)
        shared.carry_out(self.name, self._continuity.started(shared.gaps.get(self.name)))

    def is_full(self) -> bool:
        """True when reading must pause."""
        return self._shared.pump.is_full()

    async def room(self) -> None:
        """Return when frames may be read."""
        await self._shared.pump.room()

    # -- the sockets ---------------------------------------------------------------------------------------------

    def connected(self, socket: Socket, codes: tuple[str, ...]) -> None:
        """`socket` is open and subscribed to `codes`."""
        self._continuity.connected(socket, codes, self._now_s())
        self._count_sockets()
        # Silence counts from the first connect.
        self._metrics.last_received_s.setdefault(self.name, self._shared.clock.wall_s())

    def resubscribed(self, socket: Socket, codes: tuple[str, ...]) -> None:
        """The codes of `socket` are replaced by `codes`: their SNAPSHOTs come again."""
        self._continuity.resubscribed(socket, codes, self._now_s())

    def lost(self, socket: Socket, cause: str) -> None:
        """The connection of `socket` is gone, or none came about."""
        decisions = self._continuity.lost(socket, cause, self._now_s(), self._shared.clock.wall_ns())
        self._count_sockets()
        self._metrics.reconnects[self.name, cause] += 1
        self._shared.carry_out(self.name, decisions)

    def look(self) -> None:
        """To be called about once a second: what is overdue, and the gauges."""
        metrics = self._metrics
        look = self._continuity.look(metrics.received[self.name], self.is_full(), self._now_s())
        self._shared.carry_out(self.name, look.decisions)
        metrics.open_gaps[self.name] = int(self._continuity.gap_is_open)
        if look.missing is not None:
            metrics.missing_snapshots[self.name] = look.missing
        metrics.stale_markets[self.name] = look.stale
        if look.quiet:
            text = "%s: %d codes have brought nothing for %.0f s: %s"
            log.warning(text, self.name, len(look.quiet), self._quiet_after_s, named(look.quiet))

    def _count_sockets(self) -> None:
        self._metrics.connected[self.name] = sum(socket.is_open for socket in self.sockets)

    # -- the frames ----------------------------------------------------------------------------------------------

    def frame(self, socket: Socket, connection: str, number: int, data: bytes, received_ns: int) -> bool:
        """Take one frame that `socket` received; True when it was data."""
        # Every frame takes one way of five: repeated, control, refused, SNAPSHOT, live. The cheapest test comes first,
        # and the headers are made only for what may be kept.
        if self._recent is not None and data in self._recent:
            self._repeated(socket, data, received_ns)
            return True
        result = self._gate.check(data)
        if isinstance(result, Control):
            self._control(result)
            return False
        socket.last_ns = received_ns
        headers = (
            ("source", b"ws"),
            ("conn", connection.encode()),
            ("frame", b"%d" % number),
            ("recv_ns", b"%d" % received_ns),
        )
        received_ms = received_ns // 1_000_000
        if isinstance(result, Rejected):
            # The SNAPSHOT of a frame that was refused comes again with each connection.
            if self._refused.get(result.code) != hash(data):
                self._received(data, received_ms)
                self._dead_letter(result, headers, data)
        elif result.snapshot:
            self._snapshot(socket, result, Record(result.code.encode(), headers, data), received_ms)
        else:
            self._received(data, received_ms)
            self._live(socket, result, Record(result.code.encode(), headers, data), received_ms)
        return True

    def _received(self, data: bytes, received_ms: int) -> None:
        """Whatever is published shows that the exchange lives, a frame in a new format too."""
        self._metrics.received[self.name] += 1
        self._metrics.last_received_s[self.name] = received_ms / 1000
        if self._recent is not None:
            self._recent.add(data)

    def _repeated(self, socket: Socket, data: bytes, received_ns: int) -> None:
        """The other socket was first: the frame is dropped, but it shows what this socket carries."""
        socket.last_ns = received_ns
        self._metrics.duplicates[self.name] += 1
        if self._continuity.pending and isinstance(event := self._gate.check(data), Accepted):
            self._shared.carry_out(self.name, self._continuity.settle(socket, event))

    def _control(self, control: Control) -> None:
        if control.error is not None:
            self._metrics.error_frames[self.name] += 1
            log.error("%s: the exchange answers with an error: %s", self.name, control.error)

    def _dead_letter(self, refused: Rejected, headers: tuple[tuple[str, bytes], ...], data: bytes) -> None:
        self._metrics.dead_lettered[self.name] += 1
        self._refused[refused.code] = hash(data)
        self._say(refused.reason)
        key = (refused.code or "unknown").encode()
        record = Record(key, (*headers, ("reason", refused.reason.encode())), data)
        self._shared.pump.offer(Item(DEAD_LETTER, record, None))

    def _say(self, reason: str) -> None:
        """A stream that turns bad turns bad a thousand times a second: one line a while, with the count."""
        self._unsaid += 1
        now_s = self._now_s()
        if now_s >= self._say_again_s:
            log.warning("%s: %d new dead letters, the last one: %s", self.name, self._unsaid, reason)
            self._say_again_s, self._unsaid = now_s + _SAY_AGAIN_S, 0

    def _shed(self) -> bool:
        """A stream that the contract calls sheddable makes room for the others when the spool nears its bound."""
        if not self._shared.pump.must_shed():
            self._shedding = False
            return False
        if not self._shedding:
            self._shedding = True
            log.error("%s: the spool nears its bound, frames are dropped until there is room", self.name)
            self._shared.carry_out(self.name, self._continuity.shed())
        self._metrics.shed[self.name] += 1
        return True

    def _live(self, socket: Socket, event: Accepted, record: Record, received_ms: int) -> None:
        if self._continuity.pending:
            self._shared.carry_out(self.name, self._continuity.settle(socket, event))
        if self._sheddable and self._shed():
            return
        if event.unknown_fields:
            self._count_unknown(event)
        if decisions := self._continuity.live(socket, event, received_ms, self._now_s()):
            self._shared.carry_out(self.name, decisions)
        self._metrics.last_event_ms[self.name] = event.event_ms
        change = Change("seen", self.name, event.code, event.event_ms, received_ms, event.sequential_id)
        keep(self._shared.pump, self._shared.state, Item(self.name, record, change))

    def _count_unknown(self, event: Accepted) -> None:
        for name in event.unknown_fields:
            self._metrics.unknown_fields[self.name, name] += 1

    def _snapshot(self, socket: Socket, event: Accepted, record: Record, received_ms: int) -> None:
        """Keep a SNAPSHOT unless it repeats what the code's spool took last.

        A silent exchange is connected to again and again: its SNAPSHOTs must not look like news to what reads Kafka.
        """
        self._metrics.snapshots[self.name] += 1
        is_news, decisions = self._continuity.snapshot(socket, event, received_ms, self._now_s())
        self._shared.carry_out(self.name, decisions)
        if not is_news:
            return
        self._metrics.received[self.name] += 1
        if self._sheddable and self._shed():
            return
        if event.unknown_fields:
            self._count_unknown(event)
        self._continuity.snapshot_kept(event)
        self._shared.pump.offer(Item(self.name, record, None))


def changes_of(stream: str, records: Iterable[Record]) -> Iterator[Change]:
    """The steps of the state that spooled `records` stand for; SNAPSHOTs stand for none."""
    gate = Gate(stream)
    for record in records:
        event = gate.check(record.value)
        if isinstance(event, Accepted) and not event.snapshot:
            received_ns = dict(record.headers).get("recv_ns", b"0")
            received_ms = int(received_ns) // 1_000_000 if received_ns.isdigit() else 0
            yield Change("seen", stream, event.code, event.event_ms, received_ms, event.sequential_id)
