"""Continuity decides whether a stream missed anything: which gaps it has, and which trades must be fetched again.

The evidence is what the exchange shows: each subscription repeats every code's last event as SNAPSHOT. Nothing is read
here but what is passed in, and nothing is done: each call returns its decisions, and the caller carries them out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from upbit_ingester.continuity import refetch
from upbit_ingester.continuity.gap_tracker import GapTracker
from upbit_ingester.continuity.pending import PATIENCE_S, Pending, PendingEvent
from upbit_ingester.continuity.refetch import Target
from upbit_ingester.continuity.staleness import Staleness
from upbit_ingester.contract import Stream
from upbit_ingester.gate.gate import Accepted
from upbit_ingester.spool.gap_log import Gap, GapStep, OpenGap
from upbit_ingester.spool.state import Change, ChangeKind, KnownTrades, State, StreamMark
from upbit_ingester.upbit.socket import SILENCE, Socket

SILENT_LOOKS = 5  # looks, one a second, in which a stream brought nothing: all markets at once do not pause so long
PROMPT_S = 1.0  # a live frame so soon after the subscription leaves a silence no room behind the SNAPSHOTs

# A step of the state that the pump must keep before the next frame, trades to fetch, or a step of the gap log.
Decision = Change | Target | GapStep
Decisions = Sequence[Decision]


@dataclass(frozen=True, slots=True)
class Look:
    """A look once a second shows this. `missing`: codes without a SNAPSHOT, None until they have had their time;
    `stale`: how many codes are quiet, `quiet`: those that were not at the look before."""

    decisions: Decisions
    missing: int | None
    stale: int
    quiet: set[str]


class Continuity:
    """Continuity remembers one stream over all its sockets and connections.

    `now_s` is monotonic. A decided Change stands in `state`, the event loop's copy, as soon as the call returns.
    """

    def __init__(
        self, stream: Stream, state: State, codes: Callable[[], tuple[str, ...]], sockets: tuple[Socket, ...]
    ) -> None:
        """`codes`: what is wanted at the moment."""
        self._stream = stream.name
        self._refetch = stream.refetch
        self._state = state
        self._codes = codes
        self._sockets = sockets
        self._gaps = GapTracker(stream.name)
        self._lost_ms = self._now().event_ms  # the last frame before no socket carried the stream
        self._mark = StreamMark()  # the last frame when a socket was lost that another one carried on
        self._missed = False  # the gap that is open has cost something
        # A code's trades may come out of order; whatever else is published is whole, and its times do not go back.
        self.pending = Pending(in_order=not stream.refetch)
        self._staleness = Staleness(stream.quiet_after_s)
        self._received = 0  # frames at the last look
        self._silent_looks = 0
        self._last: dict[str, Accepted] = {}  # newest frame spooled of each code
        self._older: dict[str, tuple[int, bytes]] = {}  # key of an older SNAPSHOT spooled after it

    @property
    def gap_is_open(self) -> bool:
        """True from a loss to the live frame that ends it."""
        return self._gaps.is_open

    def started(self, earlier: OpenGap | None) -> Decisions:
        """The process starts; `earlier` = the gap that the run before left open."""
        return self._gaps.started(self._state.streams.get(self._stream), earlier)

    # -- the sockets ---------------------------------------------------------------------------------------------

    def connected(self, socket: Socket, codes: tuple[str, ...], now_s: float) -> None:
        """`socket` is open and subscribed to `codes`."""
        socket.opened(codes, now_s)

    def resubscribed(self, socket: Socket, codes: tuple[str, ...], now_s: float) -> None:
        """The codes of `socket` are replaced by `codes`: their SNAPSHOTs come again."""
        socket.resubscribed(codes, now_s)
        self._mark = self._now()

    def lost(self, socket: Socket, cause: str, now_s: float, now_ns: int) -> Decisions:
        """The connection of `socket` is gone, or none came about. `now_ns` is our wall clock."""
        was_open = socket.is_open
        socket.closed()
        decisions = self._unsettled(self.pending.orphaned(socket))
        codes = self._codes()
        if any(other.carries(codes, now_s, now_ns) for other in self._sockets):
            if was_open:
                self._mark = self._now()
            return decisions
        self._lost_ms = self._now().event_ms
        return [*decisions, *self._open_gap(cause)]

    def look(self, received: int, is_full: bool, now_s: float) -> Look:
        """To be called about once a second. `received`: frames of the stream so far; `is_full`: we read none."""
        decisions = [*self._unsettled(self.pending.overdue(now_s)), *self._listen(received, is_full)]
        wanted = self._codes()
        settled = [socket.missing() for socket in self._sockets if socket.is_settled(now_s)]
        # A code that was delisted is asked for until the sockets subscribe again: it is missing nothing.
        missing = len(set(wanted).intersection(*settled)) if settled else None
        return Look(decisions, missing, *self._staleness.look(wanted, now_s))

    # -- the frames ----------------------------------------------------------------------------------------------

    def live(self, socket: Socket, event: Accepted, received_ms: int, now_s: float) -> Decisions:
        """A live frame is about to be kept; it may show that trades were missed, and it closes an open gap."""
        decisions: Decisions = ()
        self._staleness.heard(event.code)
        if self._refetch and event.code not in socket.seen:
            decisions = self._first(socket, event, received_ms, now_s)
        if self._gaps.is_open:
            decisions = [*decisions, *self._close_gap(event.event_ms, received_ms, now_s)]
        self._last[event.code] = event
        if self._older:
            self._older.pop(event.code, None)
        return decisions

    def snapshot(self, socket: Socket, event: Accepted, received_ms: int, now_s: float) -> tuple[bool, Decisions]:
        """A SNAPSHOT came: (True when it is to be kept, False when it repeats what the spool took last; decisions)."""
        last = self._last.get(event.code)
        decisions = self._first(socket, event, received_ms, now_s)
        socket.snapshots.add(event.code)
        return last is None or self._older.get(event.code, last.key) != event.key, decisions

    def snapshot_kept(self, event: Accepted) -> None:
        """The SNAPSHOT is in the spool now."""
        last = self._last.get(event.code)
        # One that comes late over a second socket does not take the place of something younger.
        if last is None or event.event_ms >= last.event_ms:
            self._last[event.code] = event
            self._older.pop(event.code, None)
        else:
            self._older[event.code] = event.key

    def shed(self) -> Decisions:
        """From here on frames are dropped on purpose."""
        decisions = self._open_gap("shed")
        self._missed = True
        return decisions

    def settle(self, socket: Socket, event: Accepted) -> Decisions:
        """A live frame came from `socket`, kept or not: it may settle a pending event."""
        pending = self.pending.settle(socket, event)
        return (self._noted("healed", event.code, 0),) if pending is not None and pending.marked else ()

    # -- was anything missed? ------------------------------------------------------------------------------------

    def _listen(self, received: int, is_full: bool) -> Decisions:
        """Open a gap when the stream is silent on an open socket: what that swallows shows in no SNAPSHOT when it ends
        by itself. Looks are counted, not seconds: a process that stood still has not listened.
        """
        listening = any(socket.is_open for socket in self._sockets) and not is_full
        self._silent_looks = self._silent_looks + 1 if listening and received == self._received else 0
        self._received = received
        return self._open_gap(SILENCE) if self._silent_looks == SILENT_LOOKS else ()

    def _open_gap(self, cause: str) -> Decisions:
        if not self._gaps.is_open:
            self._missed = False
        return self._gaps.lost(self._state.streams.get(self._stream), cause)

    def _close_gap(self, event_ms: int, received_ms: int, now_s: float) -> Decisions:
        codes = self._codes()
        fetches: list[Decision] = []
        silent_since_ms = self._gaps.silent_since_ms()
        if silent_since_ms is not None:
            self._missed |= all(not s.is_open or now_s - s.subscribed_s >= PROMPT_S for s in self._sockets)
            if self._refetch:
                fetches = self._fetch_all(codes, silent_since_ms, event_ms)
        if not self._missed and any(s.is_open and s.snapshots.issuperset(codes) for s in self._sockets):
            return [*fetches, *self._gaps.dismiss()]
        return [*fetches, *self._gaps.seen(event_ms, received_ms, len(codes))]

    def _fetch_all(self, codes: tuple[str, ...], since_ms: int, until_ms: int) -> list[Decision]:
        """Trades of every code may have been swallowed until now; a quiet code's next one would show it too late."""
        decisions: list[Decision] = []
        for code in codes:
            if code not in self._state.trades:
                decisions.append(self._noted("baseline", code, since_ms))
            self.pending.drop(code)
            from_ms = min(since_ms, self._state.trades[code].gap_from_ms or since_ms)
            decisions += self._fetch(Target(code, from_ms, 0, until_ms))
        return decisions

    def _first(self, socket: Socket, event: Accepted, received_ms: int, now_s: float) -> Decisions:
        """A code's first frame on a subscription (of trades any, else the SNAPSHOT) shows whether anything was missed.

        A code that was carried all the time, by another socket or by this one before it subscribed again, has missed
        nothing when the event is known or still comes that way.
        """
        # Three questions in turn. Is this the frame to compare: the SNAPSHOT of a new subscription, or a connection's
        # first frame? Did another socket carry the code meanwhile? If so, is the event here already, or on its way?
        code = event.code
        asker: Socket | None = None
        if code in socket.recheck:
            if not event.snapshot:
                return ()
            socket.recheck.discard(code)
            carried = True
        elif code in socket.seen:
            return ()
        else:
            socket.seen.add(code)
            carried = any(other is not socket and other.is_open and code in other.seen for other in self._sockets)
            asker = socket
        if carried and self._is_known(event):
            return ()
        known = self._state.trades.get(code) if self._refetch else None
        if carried and (known is not None or not self._refetch):
            return self._await(PendingEvent(event, asker, now_s + PATIENCE_S, received_ms), known)
        if self._refetch:
            return self._compare(event, known)
        if (last := self._last.get(code)) is None or last.key != event.key:
            self._missed = True
        return ()

    def _is_known(self, event: Accepted) -> bool:
        """True when the event of a code that was carried, or a later one, is kept already."""
        if self._refetch:
            known = self._state.trades.get(event.code)
            return known is not None and event.sequential_id in known.ids
        last = self._last.get(event.code)
        return last is not None and last.event_ms >= event.event_ms

    def _compare(self, event: Accepted, known: KnownTrades | None) -> Decisions:
        """No socket carried the code: it missed nothing if its trade is kept already."""
        meaning = refetch.decide(event.code, event.sequential_id, event.event_ms, known)
        if meaning == "complete":
            # A trade that this one has overtaken may have been under way when the socket was lost.
            if event.event_ms >= self._lost_ms - refetch.MARGIN_MS:
                return (Target(event.code, event.event_ms, event.sequential_id, event.event_ms),)
            return ()
        self._missed = True
        self.pending.drop(event.code)
        if meaning == "baseline":
            return (self._noted("baseline", event.code, event.event_ms, event.sequential_id),)
        return self._fetch(meaning)

    def _await(self, pending: PendingEvent, known: KnownTrades | None) -> Decisions:
        """Wait for the event; of trades the state says meanwhile, should the process be killed, what may be missing."""
        code = pending.event.code
        earlier = self.pending.drop(code)
        decisions = self._unsettled([earlier] if earlier is not None else [])
        if known is not None:
            marked = known.gap_from_ms is None
            if marked:
                decisions.append(self._noted("gap", code, pending.event.event_ms))
            pending = replace(pending, from_ms=known.gap_from_ms or known.last_ms, marked=marked)
        self.pending.add(pending)
        return decisions

    def _unsettled(self, events: list[PendingEvent]) -> list[Decision]:
        """The events should have been carried and were not: a gap after all, found late."""
        decisions: list[Decision] = []
        for pending in events if self._refetch else ():
            event = pending.event
            decisions += self._fetch(Target(event.code, pending.from_ms, event.sequential_id, event.event_ms))
        if not events or not self._mark.event_ms:
            return decisions  # without a mark the other socket had not been there before either
        last = max(events, key=lambda pending: pending.event.event_ms)
        times = (self._mark.event_ms, last.event.event_ms, self._mark.received_ms, last.received_ms)
        cause = "resubscribed" if last.asker is None else "stale"
        return [*decisions, Gap(self._stream, len(events), cause, *times)]

    def _fetch(self, target: Target) -> Decisions:
        """Trades are missing: the state says so before they are fetched, should the process be killed."""
        return (self._noted("gap", target.code, target.snapshot_ms), target)

    def _noted(self, kind: ChangeKind, code: str, event_ms: int, sequential_id: int = 0) -> Change:
        change = Change(kind, self._stream, code, event_ms, 0, sequential_id)
        self._state.apply(change)
        return change

    def _now(self) -> StreamMark:
        mark = self._state.streams.get(self._stream, StreamMark())
        return StreamMark(mark.event_ms, mark.received_ms)
