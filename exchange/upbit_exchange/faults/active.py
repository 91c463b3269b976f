"""The faults that are on decide about events, frames, sockets and answers. No I/O, no clock.

`now` is a monotonic time in wall seconds: faults concern sockets and people, who do not live in exchange time.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from random import Random
from typing import Any

import msgspec

from upbit_exchange.faults.alter import altered, needed
from upbit_exchange.faults.catalogue import FaultError, Order, Refusal, refusal
from upbit_exchange.faults.mangle import Extra, mangled
from upbit_exchange.wire.limits import WEBSOCKET
from upbit_exchange.wire.names import Channel, Event, Update

# Natural counters of a millisecond never come that far: a trade moved here meets no other.
MOVED_FROM = 5000

Note = Callable[[str, str], None]
Published = Event | Update


class Fault(msgspec.Struct):
    """A fault that is on. `left` = how often it still acts (None = until cleared), times in monotonic seconds."""

    id: int
    order: Order
    left: int | None
    until: float | None
    next_at: float
    done: int = 0

    @property
    def name(self) -> str:
        """The fault's name in the catalogue."""
        return self.order.name

    def ready(self, now: float) -> bool:
        """Whether it may act now."""
        return self.left != 0 and now >= self.next_at


class Sent(msgspec.Struct, frozen=True):
    """What is sent of the events that happened: the events in this order, then the wrong frames beside them."""

    events: list[Published]
    extras: list[Extra] = []


class Faults:
    """The faults that are on, by number. While none is, a decision costs nothing. `note` is called for each act."""

    def __init__(self, random: Random, note: Note) -> None:
        self.counts: Counter[str] = Counter()
        self._random = random
        self._note = note
        self._on: dict[int, Fault] = {}
        self._numbers = 0
        self._held: list[tuple[float, int, Published]] = []

    # --- switching -------------------------------------------------------------------------------------------------

    def switch_on(self, order: Order, now: float) -> int:
        """Switches a fault on and returns its number."""
        self._numbers += 1
        until = now + order.duration if order.duration is not None else None
        self._on[self._numbers] = Fault(self._numbers, order, order.count or None, until, now)
        self._note(order.name, f"switched on as {self._numbers}")
        return self._numbers

    def switch_off(self, what: str) -> int:
        """Switches faults off by name, by number or `all`, and returns how many. Frames held back come when due."""
        gone = [fault.id for fault in self._on.values() if what in ("all", fault.name, str(fault.id))]
        if not gone and what != "all":
            raise FaultError(f"no fault {what[:40]!r} is on; /_local/faults lists what is")
        for number in gone:
            self._note(self._on.pop(number).name, f"switched off {number}")
        return len(gone)

    def listed(self, now: float) -> list[dict[str, Any]]:
        """Returns the faults that are on, for people to read."""
        return [
            {
                "id": fault.id,
                **{name: value for name, value in msgspec.structs.asdict(fault.order).items() if value is not None},
                "left": fault.left,
                "seconds_left": None if fault.until is None else round(fault.until - now, 3),
                "done": fault.done,
            }
            for fault in self._active(None, now)
        ]

    def count(self, name: str, what: str, times: int = 1) -> None:
        """Counts and notes that a fault acted."""
        self.counts[name] += times
        self._note(name, what)

    def _active(self, acts: tuple[str, ...] | None, now: float) -> list[Fault]:
        if not self._on:
            return []
        for fault in [fault for fault in self._on.values() if fault.until is not None and now >= fault.until]:
            del self._on[fault.id]
        return [fault for fault in self._on.values() if acts is None or fault.order.kind.acts in acts]

    def _use(self, fault: Fault, now: float, what: str, times: int = 1) -> None:
        fault.done += times
        if fault.left is not None:
            fault.left -= 1
        if fault.order.every is not None:
            fault.next_at = now + fault.order.every
        if fault.left == 0:
            self._on.pop(fault.id, None)
        self.count(fault.name, what, times)

    # --- events, before they are written down ----------------------------------------------------------------------

    def alter(self, events: list[Event], taken: Callable[[str, int], bool], now: float) -> list[Event]:
        """Returns the events as they are published. `taken` says whether a code has a trade with this sequential_id."""
        faults = self._active(("true", "field"), now)
        if not faults:
            return events
        given: set[tuple[str, int]] = set()

        def free_id(code: str, ms: int) -> int:
            number = ms * 10_000 + MOVED_FROM
            while (code, number) in given or taken(code, number):
                number += 1
            given.add((code, number))
            return number

        return [self._altered(event, faults, free_id, now) for event in events]

    def _altered(self, event: Event, faults: list[Fault], free_id: Callable[[str, int], int], now: float) -> Event:
        for fault in faults:
            order = fault.order
            if not fault.ready(now) or not order.hits(event.stream, event.code):
                continue
            if order.kind.acts == "field" and needed(order, event.stream):
                continue
            changed = altered(event, order, free_id)
            if changed is not None:
                event = changed
                self._use(fault, now, _named(event))
        return event

    # --- events, on their way to the sockets -----------------------------------------------------------------------

    def deliver(self, events: list[Published], now: float) -> Sent:
        """Returns what is sent now: the frames held back that are due, and the events that no fault keeps back."""
        faults = self._active(("delivery", "extra", "field"), now)
        if not faults and not self._held:
            return Sent(events)
        sent: list[Published] = []
        while self._held and self._held[0][0] <= now:
            sent.append(heapq.heappop(self._held)[2])
        extras: list[Extra] = []
        for event in events:
            copies = self._copies(event, faults, now)
            sent += [event] * copies
            if copies and isinstance(event, Event):
                extras += self._extras(event, faults, now)
        return Sent(sent, extras)

    def _copies(self, event: Published, faults: list[Fault], now: float) -> int:
        """How often the event is sent now: 0 = never, or later."""
        copies = 1
        for fault in faults:
            if fault.order.kind.acts != "delivery" or not self._takes(fault, event, now):
                continue
            self._use(fault, now, _named(event))
            if fault.name == "duplicate":
                copies += int(fault.order.number("copies"))
                continue
            if fault.name in ("hold", "reorder"):
                self._hold(event, fault.order, now)
            return 0
        return copies

    def _takes(self, fault: Fault, event: Published, now: float) -> bool:
        if not fault.ready(now) or not fault.order.hits(event.stream, event.code):
            return False
        return self._random.random() < float(fault.order.options.get("share", 1))

    def _hold(self, event: Published, order: Order, now: float) -> None:
        longest = order.number("ms") / 1000
        seconds = longest if order.name == "hold" else self._random.uniform(longest / 10, longest)
        heapq.heappush(self._held, (now + seconds, self.counts.total(), event))

    def _extras(self, event: Event, faults: list[Fault], now: float) -> Iterator[Extra]:
        for fault in faults:
            order = fault.order
            if order.kind.acts == "delivery" or not fault.ready(now) or not order.hits(event.stream, event.code):
                continue
            if order.kind.acts == "field" and not needed(order, event.stream):
                continue
            extra = mangled(event, order)
            if extra is not None:
                self._use(fault, now, _named(event))
                yield extra

    def pieces(self, now: float, frames: int) -> int:
        """Returns in how many fragments each of these frames is sent."""
        pieces = self.setting("fragments", "pieces", now)
        if pieces is None:
            return 1
        self.counts["fragments"] += frames
        return int(pieces)

    # --- sockets ---------------------------------------------------------------------------------------------------

    def socket_acts(self, sockets: Sequence[Collection[tuple[Channel, str]]], now: float) -> list[tuple[int, Order]]:
        """Returns the faults that act now, each with a socket's index, one a socket at most.

        `sockets`: what each subscribed to, oldest first.
        """
        chosen: dict[int, Order] = {}
        for fault in self._active(("socket",), now):
            ready = fault.ready(now)
            for index, subscribed in enumerate(sockets):
                if not ready or fault.left == 0:
                    break
                if index not in chosen and _concerns(fault.order, subscribed):
                    chosen[index] = fault.order
                    self._use(fault, now, f"socket {index + 1} of {len(sockets)}")
        return list(chosen.items())

    def snapshot_delay(self, stream: Channel, code: str, now: float) -> float | None:
        """Returns how many seconds late a SNAPSHOT is; None = it never comes."""
        for fault in self._active(("snapshot",), now):
            if fault.ready(now) and fault.order.hits(stream, code):
                self._use(fault, now, f"{stream} {code}")
                return None if fault.name == "snapshot_missing" else fault.order.number("ms") / 1000
        return 0.0

    # --- HTTP ------------------------------------------------------------------------------------------------------

    def refused(self, group: str, now: float) -> Refusal | None:
        """Returns the refusal of a request of this group (`websocket` = the handshake), None = it is answered."""
        acts = "handshake" if group == WEBSOCKET else "rest"
        for fault in self._active((acts,), now):
            if fault.ready(now) and fault.order.options.get("group", "") in ("", group):
                self._use(fault, now, f"{group} {fault.order.text('status')}")
                return refusal(fault.order)
        return None

    # --- exchange and server ---------------------------------------------------------------------------------------

    def further_trades(self, now: float) -> list[tuple[Order, int]]:
        """Returns how many trades the market makes beyond its own, by order."""
        due: list[tuple[Order, int]] = []
        for fault in self._active(("market",), now):
            if fault.name == "burst" and fault.ready(now):
                trades = int((now - fault.next_at) * fault.order.number("rate"))
                if trades:
                    due.append((fault.order, trades))
                    began = fault.next_at
                    self._use(fault, now, f"{trades} trades", trades)
                    fault.next_at = began + trades / fault.order.number("rate")
            elif fault.name in ("same_ms", "twin") and fault.ready(now):
                due.append((fault.order, int(fault.order.options.get("trades", 1))))
                self._use(fault, now, fault.order.code or "any code")
        return due

    def without_trades(self, codes: Collection[str], now: float) -> Collection[str]:
        """Returns the codes that have no trades now."""
        orders = [fault.order for fault in self._lasting("no_trades", now)]
        return [code for code in codes if any(order.code in (None, code) for order in orders)]

    def setting(self, name: str, option: str, now: float) -> float | None:
        """Returns the value of a server's setting (`idle_timeout`, `rest_lag`) while a fault changes it."""
        return next((fault.order.number(option) for fault in self._lasting(name, now)), None)

    def _lasting(self, name: str, now: float) -> list[Fault]:
        """Faults that are a state, not an act: counted once, when they are first met."""
        faults = [fault for fault in self._active(("market", "server"), now) if fault.name == name]
        for fault in faults:
            if not fault.done:
                self._use(fault, now, fault.order.code or "")
        return faults


def _concerns(order: Order, subscribed: Collection[tuple[Channel, str]]) -> bool:
    if order.stream is None and order.code is None:
        return True
    return any(order.hits(stream, code) for stream, code in subscribed)


def _named(event: Published) -> str:
    key = event.key.values() if isinstance(event, Event) else (event.code,)
    return " ".join((event.stream, *key))
