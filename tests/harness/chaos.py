"""A fault every minute: what the wire can do, by the local exchange's admin port, and the minutes it is done in."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from random import Random

from tests.harness.truth import STREAMS
from tests.harness.waiting import until
from tests.integration.fault_switch import FaultSwitch

MINUTES = int(os.environ.get("CHAOS_MINUTES") or 30)
Fault = Callable[[], object]


def of_the_wire(wire: FaultSwitch, random: Random) -> dict[str, Fault]:
    """By name. Every one of them ends by itself within the minute; what acts on one stream chooses it each time."""

    def on_one(fault: str, **options: object) -> Fault:
        return lambda: wire.set(fault, stream=random.choice(STREAMS), **options)

    return {
        "close": on_one("close", close_code=1012),
        "drop all": lambda: wire.set("drop", count=len(STREAMS)),
        "reset": on_one("reset"),
        "half-open": on_one("half_open"),
        "silence": on_one("silence", duration=15),
        "refused": lambda: (
            wire.set("handshake", status=429, wait=5, duration=10),
            wire.set("drop", count=len(STREAMS)),
        ),
        "overtaken": lambda: wire.set("reorder", ms=300, duration=20),
        "repeated": lambda: wire.set("duplicate", stream="trade", count=500),
        "burst": lambda: wire.set("burst", rate=5000, duration=3),
        "wrong frames": on_one("truncated", count=20),
        "no REST": lambda: (
            wire.set("rest", status=503, duration=20),
            wire.set("drop", stream="trade"),
        ),
    }


def endure(faults: Mapping[str, Fault], random: Random, look: Callable[[], object]) -> None:
    """Do one a minute, all of them before one comes a second time, and `look` about once a second."""
    order = [name for _ in range(-(-MINUTES // len(faults))) for name in random.sample(list(faults), len(faults))]
    began = time.monotonic()

    def over(minute: int) -> bool:
        look()
        return time.monotonic() > began + 60 * minute

    for minute, name in enumerate(order[:MINUTES], 1):
        print(f"  {time.monotonic() - began:.0f} s: {name}", flush=True)
        faults[name]()
        until("the minute is over", lambda minute=minute: over(minute), 120)  # type: ignore[misc]
