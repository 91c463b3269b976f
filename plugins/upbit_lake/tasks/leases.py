"""The leases as tasks use them: a bootstrap takes both for all its steps, a supervising run the one that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from upbit_lake.engines.postgres import Database
from upbit_lake.state.job_runs import bootstrapped
from upbit_lake.state.leases import (
    INGESTER,
    LEASE_S,
    STREAMING_JOBS,
    LeaseHeldError,
    acquire,
    acquire_within,
    holder,
    release,
)
from upbit_lake.tasks.connections import open_database

# A supervising run that restarts a job needs minutes; a tick without work some seconds.
WAIT_S = 180.0
NOT_BOOTSTRAPPED = "bootstrap_pipeline has not run yet"
NOTHING_YET = f"nothing to do: {NOT_BOOTSTRAPPED}"


def hold_leases(run_id: str) -> None:
    """Take or renew both leases for `run_id`; raises LeaseHeldError when another run does not give them back."""
    with open_database() as db:
        for name in (STREAMING_JOBS, INGESTER):
            acquire_within(db, name, run_id, LEASE_S, WAIT_S)


def give_leases_back(run_id: str) -> None:
    """From here on the supervising DAGs may work."""
    with open_database() as db:
        for name in (STREAMING_JOBS, INGESTER):
            release(db, name, run_id)


def blocked_reason(db: Database, name: str, owner: str) -> str:
    """Why `owner` must not even look at what lease `name` guards: no bootstrap yet, or another holder. "" = it may."""
    return holder(db, name, owner) if bootstrapped(db) else NOT_BOOTSTRAPPED


@contextmanager
def leased(db: Database, name: str, owner: str) -> Iterator[str]:
    """Hold lease `name` for the block; gives "" or why it must wait: no bootstrap yet, or another holder."""
    reason = blocked_reason(db, name, owner)
    if reason:
        yield reason
        return
    try:
        acquire(db, name, owner, LEASE_S)
    except LeaseHeldError as error:
        yield str(error)
        return
    try:
        yield ""
    finally:
        release(db, name, owner)
