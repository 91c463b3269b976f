"""The pump: one thread that carries records from the event loop into the spools and from there into Kafka.

A cycle: take what the loop has offered, write down where trades are missing, append the records to the spools and
sync, only then note them as kept and produce them. The event loop never waits for a disk or a broker; it stops reading
when the pump says that it is full.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from upbit_ingester.delivery.producer import Delivery, Lane
from upbit_ingester.health.metrics import Metrics, SpoolGauges
from upbit_ingester.spool import state as states
from upbit_ingester.spool.record import Record
from upbit_ingester.spool.state import Change, State

log = logging.getLogger(__name__)

INBOX_MAX_BYTES = 24 * 1024 * 1024
SHED_SHARE = 0.9  # of the spool's bound: from here on sheddable streams are dropped so that the others find room
HOUSEKEEPING_S = 1.0
FULL_POLL_S = 0.05

DEAD_LETTER = "dead_letter"


class Item(msgspec.Struct, frozen=True, gc=False):
    """The loop offers items: a record for a lane, and the step of the state that is true once it is kept."""

    lane: str
    record: Record | None
    change: Change | None


@dataclass(frozen=True, slots=True)
class PumpSettings:
    """Bounds of the pump: bytes and seconds."""

    spool_max_bytes: int
    sync_s: float
    state_path: Path


class Pump(threading.Thread):
    """See the module. `offer`, `is_full`, `must_shed`, `gauges` and `stop` are called from other threads."""

    def __init__(
        self,
        settings: PumpSettings,
        lanes: dict[str, Lane],
        make_delivery: Callable[[Callable[[Record, str], bool]], Delivery],
        state: State,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        chore: Callable[[], None] = lambda: None,
    ) -> None:
        """`chore` needs the spools and is done about once a second."""
        super().__init__(name="pump", daemon=True)
        self._settings = settings
        self._lanes = lanes
        self._delivery = make_delivery(self._refuse)
        self._state = state
        self._metrics = metrics
        self._clock = clock
        self._chore = chore
        self._inbox: deque[Item] = deque()
        self._waiting: dict[str, list[Item]] = {name: [] for name in lanes}  # taken and not in the spool yet
        self._offered_bytes = 0
        self._kept_bytes = 0
        self._stop_at_s: float | None = None
        self._next_housekeeping_s = 0.0
        self._state_changed = False
        self._last_write_error_s = -1e9
        self.heartbeat_s = clock()

    # -- called by the event loop --------------------------------------------------------------------------------

    def offer(self, item: Item) -> None:
        """Take over one record; it is kept once its cycle is done."""
        if item.record is not None:
            self._offered_bytes += len(item.record.value)
        self._inbox.append(item)

    def is_full(self) -> bool:
        """True when sockets must not be read: the disk does not follow, or the spool is at its bound."""
        return (
            self._offered_bytes - self._kept_bytes > INBOX_MAX_BYTES
            or self.spool_bytes() >= self._settings.spool_max_bytes
        )

    async def room(self) -> None:
        """Return once it is not full."""
        while self.is_full():
            await asyncio.sleep(FULL_POLL_S)

    def must_shed(self) -> bool:
        """True when sheddable streams must make room for what cannot be had again."""
        return self.spool_bytes() >= SHED_SHARE * self._settings.spool_max_bytes

    def spool_bytes(self) -> int:
        """Bytes of all segment files."""
        return sum(lane.spool.bytes for lane in self._lanes.values())

    def undelivered(self) -> int:
        """Records that Kafka has not acknowledged."""
        waiting = len(self._inbox) + sum(map(len, self._waiting.values()))
        return waiting + sum(lane.spool.unacknowledged for lane in self._lanes.values())

    def gauges(self) -> SpoolGauges:
        """The state of the spools now."""
        ages = [lane.spool.oldest_s() or 0.0 for lane in self._lanes.values()]
        return SpoolGauges(
            bytes=self.spool_bytes(),
            records=sum(lane.spool.unacknowledged for lane in self._lanes.values()),
            oldest_s=max(ages, default=0.0),
            in_flight=self._delivery.in_flight,
        )

    @property
    def login_refused(self) -> bool:
        """See `Delivery.login_refused`."""
        return self._delivery.login_refused

    def stop(self, deadline_s: float) -> None:
        """Deliver everything, at the latest until `deadline_s` (monotonic), then end the thread."""
        self._stop_at_s = deadline_s

    # -- the thread ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Cycle until stopped and empty, or until the deadline of the stop."""
        try:
            self._run()
        except Exception:
            # The spool holds what was not delivered; the watchdog ends the process, the next start goes on.
            log.exception("pump: stopped by an unexpected error (a bug)")
            raise SystemExit from None

    def _run(self) -> None:
        while not self._finished():
            self._delivery.wait(self._settings.sync_s)
            self.cycle()
        for lane in self._lanes.values():
            self._attempt(lane.spool.close)
        self._attempt(self._save_state)

    def cycle(self) -> None:
        """Take, keep, send: one round of the thread."""
        self._take()
        self._keep()
        self._delivery.step()
        self._housekeeping()
        self.heartbeat_s = self._clock()

    def _finished(self) -> bool:
        if self._stop_at_s is None:
            return False
        return self.undelivered() == 0 or self._clock() >= self._stop_at_s

    def _take(self) -> None:
        for _ in range(len(self._inbox)):
            item = self._inbox.popleft()
            self._waiting[item.lane].append(item)

    def _keep(self) -> None:
        """Keep what waits, each lane for itself. What the disk refuses waits, and is tried again a second later."""
        if self._clock() - self._last_write_error_s < HOUSEKEEPING_S:
            return
        for name, items in self._waiting.items():
            if items:
                self._attempt(partial(self._keep_lane, name, items))

    def _keep_lane(self, name: str, items: list[Item]) -> None:
        changes = [item.change for item in items if item.change is not None]
        records = [item.record for item in items if item.record is not None]
        self._save_marks(changes)
        if records:
            self._lanes[name].spool.append(records)
        for change in changes:
            self._state.apply(change)
            self._state_changed = True
        self._metrics.spooled[name] += len(records)
        self._waiting[name] = []
        self._kept_bytes += sum(len(record.value) for record in records)

    def _save_marks(self, changes: list[Change]) -> None:
        """Where trades are missing must stand on the disk before the records behind it: they would hide it."""
        marks = [change for change in changes if change.kind in ("gap", "baseline")]
        for mark in marks:
            self._state.apply(mark)
        if marks:
            self._save_state()

    def _housekeeping(self) -> None:
        now = self._clock()
        if now < self._next_housekeeping_s:
            return
        self._next_housekeeping_s = now + HOUSEKEEPING_S
        for lane in self._lanes.values():
            self._attempt(lane.spool.roll)
        self._attempt(self._chore)
        if self._state_changed:
            self._attempt(self._save_state)

    def _save_state(self) -> None:
        states.save(self._state, self._settings.state_path)
        self._state_changed = False

    def _attempt(self, step: Callable[[], None]) -> bool:
        """Do what needs the disk; False when it refuses."""
        try:
            step()
        except OSError as error:
            self._metrics.spool_write_errors += 1
            if self._clock() - self._last_write_error_s >= HOUSEKEEPING_S:
                log.error("spool: cannot write (%s); nothing is produced unspooled, trying again each second", error)
            self._last_write_error_s = self._clock()
            return False
        return True

    def _refuse(self, record: Record, reason: str) -> bool:
        """Keep a record that its topic cannot take as a dead letter; False when that cannot be done either."""
        if any(name == "reason" for name, _ in record.headers):
            return False  # it is a dead letter already
        letter = Record(record.key, (*record.headers, ("reason", reason.encode())), record.value)
        if not self._attempt(partial(self._lanes[DEAD_LETTER].spool.append, [letter])):
            return False
        self._metrics.spooled[DEAD_LETTER] += 1
        return True


def keep(pump: Pump, state: State, item: Item) -> None:
    """Take the item's step of `state`, the event loop's copy, and hand the item to the pump."""
    if item.change is not None:
        state.apply(item.change)
    pump.offer(item)
