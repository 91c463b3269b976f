"""Leases: who may change the streaming jobs or the ingester right now.

Bootstrap holds both while it works; a supervising run takes the one it needs and skips when another run has it, so
that no job is submitted twice. A lease ends by itself: a holder that died blocks no other for long.
"""

from __future__ import annotations

from upbit_lake.engines.clock import SYSTEM, Clock, wait_until
from upbit_lake.engines.postgres import Database, Row

STREAMING_JOBS = "streaming_jobs"
INGESTER = "ingester"
# Longer than any task that holds a lease may run (its execution_timeout), so that none works without it.
LEASE_S = 660.0
POLL_S = 0.5


class LeaseHeldError(RuntimeError):
    """Another owner holds the lease. One line: who, until when."""


def acquire(db: Database, name: str, owner: str, seconds: float) -> None:
    """Take or renew lease `name` for `seconds`; raises LeaseHeldError when another owner holds it."""
    if db.query("leases/acquire", {"name": name, "owner": owner, "seconds": seconds}):
        return
    raise LeaseHeldError(holder(db, name, owner) or f"{name} was being changed by another run")


def holder(db: Database, name: str, owner: str) -> str:
    """Who other than `owner` holds lease `name`, in words; "" when it is free or its own."""
    held = [row for row in db.query("leases/holder", {"name": name}) if row["owner"] != owner]
    return f"{name} is being changed by {held[0]['owner']} until {held[0]['expires_at']:%H:%M:%S} UTC" if held else ""


def acquire_within(
    db: Database,
    name: str,
    owner: str,
    seconds: float,
    wait_s: float,
    clock: Clock = SYSTEM,
) -> None:
    """Like `acquire`, but waits up to `wait_s` for the holder to finish."""

    def refusal() -> LeaseHeldError | None:
        try:
            acquire(db, name, owner, seconds)
        except LeaseHeldError as error:
            return error
        return None

    refused = wait_until(refusal, lambda error: error is None, wait_s, POLL_S, clock)
    if refused is not None:
        raise refused


def release(db: Database, name: str, owner: str) -> None:
    """Give lease `name` back; nothing happens when it is not ours."""
    db.query("leases/release", {"name": name, "owner": owner})


def held(db: Database) -> list[Row]:
    """The leases that are held now, by name: name, owner, expires_at."""
    return db.query("leases/held")
