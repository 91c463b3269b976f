"""Did a stream miss anything? What its sockets carried, the gaps in it, and the trades that must be fetched again.

Decides from what the exchange shows: each subscription repeats every code's last event as SNAPSHOT.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from upbit_ingester.continuity import refetch
from upbit_ingester.continuity.pending import PATIENCE_S, Doubt, Doubts
from upbit_ingester.continuity.refetch import Target
from upbit_ingester.continuity.staleness import Staleness
from upbit_ingester.delivery.pump import Item, Pump, keep
from upbit_ingester.gate.gate import Accepted
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.gap_log import SILENCE, Gap, Gaps, GapTracker
from upbit_ingester.spool.state import Change, KnownTrades, State, StreamMark
from upbit_ingester.upbit.markets import named
from upbit_ingester.upbit.socket import Socket

log = logging.getLogger(__name__)

SILENT_LOOKS = 5  # looks, one a second, in which a stream brought nothing: all markets at once do not pause so long
PROMPT_S = 1.0  # a live frame so soon after the subscription leaves a silence no room behind the SNAPSHOTs


@dataclass(frozen=True, slots=True)
class Shared:
    """What the streams share. `state` is the event loop's copy."""

    pump: Pump
    state: State
    metrics: Metrics
    gaps: Gaps
    codes: Callable[[], tuple[str, ...]]
    heal: Callable[[Target], None]
    clock: Callable[[], float] = time.monotonic


class Continuity:
    """The memory of one stream over all its sockets and connections."""

    def __init__(self, stream: str, shared: Shared, sockets: tuple[Socket, ...]) -> None:
        self._stream = stream
        self._is_trade = stream == "trade"
        self._shared = shared
        self._gaps = GapTracker(stream, shared.state.streams.get(stream), shared.gaps)
        self._sockets = sockets
        self._lost_ms = self._now().event_ms  # the last frame before nobody carried
        self._mark = StreamMark()  # the last frame when a socket was lost that another one carried on
        self._missed = False  # the gap that is open has cost something
        self.doubts = Doubts(stream)
        self._staleness = Staleness(stream)
        self._received = 0  # frames at the last look
        self._silent_looks = 0
        self._last: dict[str, Accepted] = {}  # the last frame that each code's spool took, but for
        self._older: dict[str, tuple[int, bytes]] = {}  # an older SNAPSHOT that it took after that: its key

    # -- the sockets ---------------------------------------------------------------------------------------------

    def connected(self, socket: Socket, codes: tuple[str, ...]) -> None:
        """`socket` is open and subscribed to `codes`."""
        socket.opened(codes, self._shared.clock())
        self._count_sockets()
        # Silence counts from the first connect.
        self._shared.metrics.last_received_s.setdefault(self._stream, time.time())

    def resubscribed(self, socket: Socket, codes: tuple[str, ...]) -> None:
        """The codes of `socket` are replaced by `codes`: their SNAPSHOTs come again."""
        socket.resubscribed(codes, self._shared.clock())
        self._mark = self._now()

    def lost(self, socket: Socket, cause: str) -> None:
        """The connection of `socket` is gone, or none came about."""
        was_open = socket.is_open
        socket.closed()
        self._count_sockets()
        self._shared.metrics.reconnects[self._stream, cause] += 1
        self._unsettled(self.doubts.orphaned(socket))
        if self._is_carried():
            if was_open:
                self._mark = self._now()
            return
        self._lost_ms = self._now().event_ms
        self._open_gap(cause)

    def look(self) -> None:
        """To be called about once a second: what is overdue, and the gauges."""
        now_s = self._shared.clock()
        self._unsettled(self.doubts.overdue(now_s))
        self._listen()
        metrics = self._shared.metrics
        metrics.open_gaps[self._stream] = int(self._gaps.is_open)
        settled = [socket.missing() for socket in self._sockets if socket.is_settled(now_s)]
        if settled:  # a code that was delisted is asked for until the sockets subscribe anew
            metrics.missing_snapshots[self._stream] = len(set(self._shared.codes()).intersection(*settled))
        metrics.stale_markets[self._stream], quiet = self._staleness.look(self._shared.codes(), now_s)
        if quiet:
            text = "%s: %d codes have brought nothing for %.0f s: %s"
            log.warning(text, self._stream, len(quiet), self._staleness.bound_s, named(quiet))

    # -- the frames ----------------------------------------------------------------------------------------------

    def live(self, socket: Socket, verdict: Accepted, received_ms: int) -> None:
        """A live frame is about to be kept."""
        self._staleness.heard(verdict.code)
        if self._is_trade and verdict.code not in socket.seen:
            self._first(socket, verdict, received_ms)
        if self._gaps.is_open:
            self._close_gap(verdict.event_ms, received_ms)
        self._last[verdict.code] = verdict
        if self._older:
            self._older.pop(verdict.code, None)

    def snapshot(self, socket: Socket, verdict: Accepted, received_ms: int) -> bool:
        """A SNAPSHOT came: True when it is news, False when it repeats what the code's spool took last."""
        last = self._last.get(verdict.code)
        self._first(socket, verdict, received_ms)
        socket.snapshots.add(verdict.code)
        return last is None or self._older.get(verdict.code, last.key) != verdict.key

    def snapshot_kept(self, verdict: Accepted) -> None:
        """The SNAPSHOT is in the spool now."""
        last = self._last.get(verdict.code)
        # One that comes late over a second socket does not take the place of something younger.
        if last is None or verdict.event_ms >= last.event_ms:
            self._last[verdict.code] = verdict
            self._older.pop(verdict.code, None)
        else:
            self._older[verdict.code] = verdict.key

    def shed(self) -> None:
        """From here on frames are dropped on purpose."""
        self._open_gap("shed")
        self._missed = True

    def settle(self, socket: Socket, verdict: Accepted) -> None:
        """A live frame came from `socket`, kept or not: does it end a doubt?"""
        doubt = self.doubts.settle(socket, verdict)
        if doubt is not None and doubt.marked:
            self._note(Change("healed", "trade", verdict.code, 0))

    # -- was anything missed? ------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Open a gap when the stream is silent on an open socket: what that swallows shows in no SNAPSHOT when it ends
        by itself. Looks are counted, not seconds: a process that stood still has not listened.
        """
        received = self._shared.metrics.received[self._stream]
        listening = any(socket.is_open for socket in self._sockets) and not self._shared.pump.is_full()
        self._silent_looks = self._silent_looks + 1 if listening and received == self._received else 0
        self._received = received
        if self._silent_looks == SILENT_LOOKS:
            self._open_gap(SILENCE)

    def _open_gap(self, cause: str) -> None:
        if not self._gaps.is_open:
            self._missed = False
        self._gaps.lost(self._shared.state.streams.get(self._stream), cause)

    def _close_gap(self, event_ms: int, received_ms: int) -> None:
        codes = self._shared.codes()
        silent_since_ms = self._gaps.silent_since_ms()
        if silent_since_ms is not None:
            now_s = self._shared.clock()
            self._missed |= all(not s.is_open or now_s - s.subscribed_s >= PROMPT_S for s in self._sockets)
            if self._is_trade:
                self._fetch_all(codes, silent_since_ms, event_ms)
        if not self._missed and any(s.is_open and s.snapshots.issuperset(codes) for s in self._sockets):
            self._gaps.dismiss()
        elif self._gaps.seen(event_ms, received_ms, len(codes)):
            self._shared.metrics.gaps[self._stream] += 1

    def _fetch_all(self, codes: tuple[str, ...], since_ms: int, until_ms: int) -> None:
        """Trades of every code may have been swallowed up to now; the next one of a quiet code would tell too late."""
        for code in codes:
            if code not in self._shared.state.trades:
                self._note(Change("baseline", "trade", code, since_ms))
            self.doubts.drop(code)
            from_ms = min(since_ms, self._shared.state.trades[code].gap_from_ms or since_ms)
            self._fetch(Target(code, from_ms, 0, until_ms))

    def _first(self, socket: Socket, verdict: Accepted, received_ms: int) -> None:
        """The first frame of a code on a subscription (of trades any, else the SNAPSHOT): was anything missed before?

        A code that was carried all the time, by another socket or by this one before it subscribed anew, has missed
        nothing when the event is known or still comes that way.
        """
        code = verdict.code
        asker: Socket | None = None
        if code in socket.recheck:
            if not verdict.snapshot:
                return
            socket.recheck.discard(code)
            carried = True
        elif code in socket.seen:
            return
        else:
            socket.seen.add(code)
            carried = any(other is not socket and other.is_open and code in other.seen for other in self._sockets)
            asker = socket
        if carried and self._is_known(verdict):
            return
        known = self._shared.state.trades.get(code) if self._is_trade else None
        if carried and (known is not None or not self._is_trade):
            self._doubt(Doubt(verdict, asker, self._shared.clock() + PATIENCE_S, received_ms), known)
        elif self._is_trade:
            self._compare(verdict, known)
        elif (last := self._last.get(code)) is None or last.key != verdict.key:
            self._missed = True

    def _is_known(self, verdict: Accepted) -> bool:
        """Is the event of a code that was carried, or a later one, kept already?"""
        if self._is_trade:
            known = self._shared.state.trades.get(verdict.code)
            return known is not None and verdict.sequential_id in known.ids
        last = self._last.get(verdict.code)
        return last is not None and last.event_ms >= verdict.event_ms

    def _compare(self, verdict: Accepted, known: KnownTrades | None) -> None:
        """Nobody carried the code: is its trade one that is kept?"""
        decision = refetch.decide(verdict.code, verdict.sequential_id, verdict.event_ms, known)
        if decision == "complete":
            # A trade that this one has overtaken may have been under way when the socket was lost.
            if verdict.event_ms >= self._lost_ms - refetch.MARGIN_MS:
                self._shared.heal(Target(verdict.code, verdict.event_ms, verdict.sequential_id, verdict.event_ms))
            return
        self._missed = True
        self.doubts.drop(verdict.code)
        if decision == "baseline":
            self._note(Change("baseline", "trade", verdict.code, verdict.event_ms, 0, verdict.sequential_id))
            return
        self._fetch(decision)

    def _doubt(self, doubt: Doubt, known: KnownTrades | None) -> None:
        """Wait for the event; of trades the state says meanwhile, should the process be killed, what may be missing."""
        code = doubt.verdict.code
        if (earlier := self.doubts.drop(code)) is not None:
            self._unsettled([earlier])
        if known is not None:
            marked = known.gap_from_ms is None
            if marked:
                self._note(Change("gap", "trade", code, doubt.verdict.event_ms))
            doubt = replace(doubt, from_ms=known.gap_from_ms or known.last_ms, marked=marked)
        self.doubts.add(doubt)

    def _unsettled(self, doubts: list[Doubt]) -> None:
        """What should have been carried was not: a gap after all, found late."""
        if not doubts:
            return
        for doubt in doubts:
            verdict = doubt.verdict
            if self._is_trade:
                self._fetch(Target(verdict.code, doubt.from_ms, verdict.sequential_id, verdict.event_ms))
        if not self._mark.event_ms:
            return  # the other socket had not been there before either
        last = max(doubts, key=lambda doubt: doubt.verdict.event_ms)
        times = (self._mark.event_ms, last.verdict.event_ms, self._mark.received_ms, last.received_ms)
        cause = "resubscribed" if last.asker is None else "stale"
        self._shared.metrics.gaps[self._stream] += 1
        self._shared.gaps.record(Gap(self._stream, len(doubts), cause, *times))

    def _fetch(self, target: Target) -> None:
        """Trades are missing: the state says so before they are fetched, should the process be killed."""
        self._note(Change("gap", "trade", target.code, target.snapshot_ms))
        self._shared.heal(target)

    def _note(self, change: Change) -> None:
        keep(self._shared.pump, self._shared.state, Item("trade", None, change))

    def _is_carried(self) -> bool:
        codes, now_s, now_ns = self._shared.codes(), self._shared.clock(), time.time_ns()
        return any(socket.carries(codes, now_s, now_ns) for socket in self._sockets)

    def _now(self) -> StreamMark:
        mark = self._shared.state.streams.get(self._stream, StreamMark())
        return StreamMark(mark.event_ms, mark.received_ms)

    def _count_sockets(self) -> None:
        self._shared.metrics.connected[self._stream] = sum(socket.is_open for socket in self._sockets)
