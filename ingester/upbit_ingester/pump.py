"""The pump: one thread that carries records from the event loop into the spools and from there into Kafka.

A cycle: take what the loop has offered, append it to the spools, sync, only then note it as kept and produce it.
The event loop never waits for a disk or a broker; it stops reading when the pump says that it is full.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from upbit_ingester import state as states
from upbit_ingester.delivery import Delivery, Lane
from upbit_ingester.metrics import Metrics, SpoolGauges
from upbit_ingester.record import Record
from upbit_ingester.state import Change, State

log = logging.getLogger(__name__)

INBOX_MAX_BYTES = 24 * 1024 * 1024
SHED_SHARE = 0.9  # of the spool's bound: from here on order books are dropped so that trades find room
HOUSEKEEPING_S = 1.0

DEAD_LETTER = "dead_letter"


class Item(NamedTuple):
    """What the loop offers: a record for a lane, and the step of the state that is true once it is kept."""

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
    ) -> None:
        super().__init__(name="pump", daemon=True)
        self._settings = settings
        self._lanes = lanes
        self._delivery = make_delivery(self._refuse)
        self._state = state
        self._metrics = metrics
        self._inbox: deque[Item] = deque()
        self._waiting: list[Item] = []  # taken from the inbox and not in the spool yet
        self._offered_bytes = 0
        self._taken_bytes = 0
        self._stop_at_s: float | None = None
        self._wake = threading.Event()
        self._next_housekeeping_s = 0.0
        self._state_changed = False
        self._last_write_error_s = -1e9
        self.heartbeat_s = time.monotonic()

    # -- called by the event loop --------------------------------------------------------------------------------

    def offer(self, item: Item) -> None:
        """Take over one record; it is kept once its cycle is done."""
        if item.record is not None:
            self._offered_bytes += len(item.record.value)
        self._inbox.append(item)

    def is_full(self) -> bool:
        """True when sockets must not be read: the disk does not follow, or the spool is at its bound."""
        return (
            self._offered_bytes - self._taken_bytes > INBOX_MAX_BYTES
            or self.spool_bytes() >= self._settings.spool_max_bytes
        )

    def must_shed(self) -> bool:
        """True when order books must make room for what cannot be had again."""
        return self.spool_bytes() >= SHED_SHARE * self._settings.spool_max_bytes

    def spool_bytes(self) -> int:
        """Bytes of all segment files."""
        return sum(lane.spool.bytes for lane in self._lanes.values())

    def undelivered(self) -> int:
        """Records that Kafka has not acknowledged."""
        return len(self._inbox) + len(self._waiting) + sum(lane.spool.unacknowledged for lane in self._lanes.values())

    def gauges(self) -> SpoolGauges:
        """The state of the spools now."""
        ages = [lane.spool.oldest_s() or 0.0 for lane in self._lanes.values()]
        return SpoolGauges(
            bytes=self.spool_bytes(),
            records=sum(lane.spool.unacknowledged for lane in self._lanes.values()),
            oldest_s=max(ages, default=0.0),
            in_flight=self._delivery.in_flight,
        )

    def stop(self, deadline_s: float) -> None:
        """Deliver everything, at the latest until `deadline_s` (monotonic), then end the thread."""
        self._stop_at_s = deadline_s
        self._wake.set()

    # -- the thread ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Cycle until stopped and empty, or until the deadline of the stop."""
        try:
            self._run()
        except Exception:
            # The spool holds what was not delivered; the watchdog ends the process, the next start goes on.
            log.exception("pump: stopped by a defect")
            raise SystemExit from None

    def _run(self) -> None:
        while not self._finished():
            self._wake.wait(self._settings.sync_s)
            self._take()
            self._keep()
            self._delivery.step()
            self._housekeeping()
            self.heartbeat_s = time.monotonic()
        for lane in self._lanes.values():
            lane.spool.close()
        self._save_state()

    def _finished(self) -> bool:
        if self._stop_at_s is None:
            return False
        self._wake.clear()
        return self.undelivered() == 0 or time.monotonic() >= self._stop_at_s

    def _take(self) -> None:
        for _ in range(len(self._inbox)):
            item = self._inbox.popleft()
            if item.record is not None:
                self._taken_bytes += len(item.record.value)
            self._waiting.append(item)

    def _keep(self) -> None:
        """Append and sync what waits; only then it counts as kept. What the disk refuses waits for the next cycle."""
        if not self._waiting or time.monotonic() - self._last_write_error_s < HOUSEKEEPING_S:
            return
        batches: dict[str, list[Record]] = {}
        for item in self._waiting:
            if item.record is not None:
                batches.setdefault(item.lane, []).append(item.record)
        try:
            for name, records in batches.items():
                self._lanes[name].spool.append(records)
            for name in batches:
                self._lanes[name].spool.sync()
        except OSError as error:
            self._write_failed(error)
            return
        for item in self._waiting:
            if item.change is not None:
                self._state.apply(item.change)
                self._state_changed = True
        for name, records in batches.items():
            self._metrics.spooled[name] += len(records)
        self._waiting = []

    def _write_failed(self, error: OSError) -> None:
        self._metrics.spool_write_errors += 1
        self._last_write_error_s = time.monotonic()
        log.error("spool: cannot write (%s); nothing is produced unspooled, trying again each second", error)

    def _housekeeping(self) -> None:
        now = time.monotonic()
        if now < self._next_housekeeping_s:
            return
        self._next_housekeeping_s = now + HOUSEKEEPING_S
        for lane in self._lanes.values():
            lane.spool.roll()
        if self._state_changed:
            self._save_state()

    def _save_state(self) -> None:
        try:
            states.save(self._state, self._settings.state_path)
            self._state_changed = False
        except OSError as error:
            self._metrics.spool_write_errors += 1
            log.error("spool: cannot write %s (%s)", self._settings.state_path, error)

    def _refuse(self, record: Record, reason: str) -> bool:
        """Keep a record that its topic cannot take as a dead letter; False when that cannot be done either."""
        if any(name == "reason" for name, _ in record.headers):
            return False  # it is a dead letter already
        letter = Record(record.key, (*record.headers, ("reason", reason.encode())), record.value)
        spool = self._lanes[DEAD_LETTER].spool
        try:
            spool.append([letter])
            spool.sync()
        except OSError as error:
            self._write_failed(error)
            return False
        self._metrics.spooled[DEAD_LETTER] += 1
        return True
