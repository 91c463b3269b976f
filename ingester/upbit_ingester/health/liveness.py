"""Liveness says what alive and ready mean; the watchdog ends a process whose event loop hangs."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from upbit_ingester.health.endpoints import Health

log = logging.getLogger(__name__)

LOOP_BOUND_S = 15.0
PUMP_BOUND_S = 30.0  # a slow disk may hold an fdatasync for seconds
WATCHDOG_BOUND_S = 30.0
READY_SPOOL_AGE_S = 60.0
EXIT_HUNG = 70


@dataclass(frozen=True, slots=True)
class Pulse:
    """The pulse holds the ages in seconds of the last signs of life."""

    loop_s: float
    pump_s: float
    pump_alive: bool


def live(pulse: Pulse) -> Health:
    """Green while the event loop and the pump move; an outage of Kafka or a silent exchange changes nothing here."""
    checks = {
        "event_loop": _judged(pulse.loop_s < LOOP_BOUND_S, f"moved {pulse.loop_s:.1f} s ago"),
        "pump": _judged(pulse.pump_alive and pulse.pump_s < PUMP_BOUND_S, f"moved {pulse.pump_s:.1f} s ago"),
    }
    return _health(checks)


def ready(
    connected: dict[str, int], received: dict[str, int], streams: tuple[str, ...], oldest_s: float, refused: bool
) -> Health:
    """Green when a socket of each stream is open and has brought data, and Kafka lets us in (not `refused`) and keeps
    up.
    """
    checks = {
        stream: _judged(
            connected.get(stream, 0) > 0 and received.get(stream, 0) > 0,
            f"connected {connected.get(stream, 0)}, frames {received.get(stream, 0)}",
        )
        for stream in streams
    }
    checks["kafka"] = _judged(not refused, "login refused" if refused else "login not refused")
    checks["spool"] = _judged(oldest_s < READY_SPOOL_AGE_S, f"oldest unacknowledged {oldest_s:.0f} s")
    return _health(checks)


def _judged(ok: bool, text: str) -> str:
    return f"{'ok' if ok else 'failed'}: {text}"


def _health(checks: dict[str, str]) -> Health:
    return Health(all(text.startswith("ok") for text in checks.values()), checks)


class Watchdog(threading.Thread):
    """The watchdog ends the process when the loop hangs or the pump has died.

    The supervisor starts it again, the spool waits.
    """

    def __init__(
        self, pulse: Callable[[], Pulse], stopping: Callable[[], bool], bound_s: float = WATCHDOG_BOUND_S
    ) -> None:
        """`stopping`: true once the process ends by itself, then a pump that has ended is healthy."""
        super().__init__(name="watchdog", daemon=True)
        self._pulse = pulse
        self._stopping = stopping
        self._bound_s = bound_s

    def run(self) -> None:
        """Look each second."""
        strikes = 0
        while True:
            time.sleep(1.0)
            pulse = self._pulse()
            # Twice in a row: after a SIGSTOP the ages are old once, and the process is healthy.
            dead = not pulse.pump_alive and not self._stopping()
            strikes = strikes + 1 if dead or pulse.loop_s > self._bound_s else 0
            if strikes >= 2:
                what = "the pump has stopped" if dead else f"event loop blocked {pulse.loop_s:.0f} s"
                log.critical("watchdog: %s; ending the process, the spool keeps what is undelivered", what)
                os._exit(EXIT_HUNG)
