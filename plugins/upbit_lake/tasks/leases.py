"""The leases of a bootstrap: taken before anything is changed, renewed by each task that changes, given back."""

from __future__ import annotations

from upbit_lake.state.leases import INGESTER, LEASE_S, STREAMING_JOBS, acquire_within, release
from upbit_lake.tasks.connections import open_database

# A supervising run that restarts a job needs minutes; a tick without work some seconds.
WAIT_S = 180.0


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
