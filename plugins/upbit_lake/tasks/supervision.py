"""What both supervising DAGs do around their look: lease, memory across runs, a loud end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from upbit_lake.engines.postgres import Connection
from upbit_lake.state.job_runs import bootstrapped
from upbit_lake.state.leases import LEASE_S, LeaseHeldError, acquire, holder, release

# The hourly DAGs say the same.
NOT_BOOTSTRAPPED = "bootstrap_pipeline has not run yet"
MEMORY_KEY = "memory"


def blocked_reason(db: Connection, name: str, owner: str) -> str:
    """Why `owner` must not even look at what lease `name` guards: no bootstrap yet, or another holder. "" = it may."""
    return holder(db, name, owner) if bootstrapped(db) else NOT_BOOTSTRAPPED


@contextmanager
def leased(db: Connection, name: str, owner: str) -> Iterator[str]:
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


def recall(store: Any) -> Any:
    """What the last run remembered in an asset's state store (JSON), or None."""
    return store.get(MEMORY_KEY)


def keep(store: Any, memory: dict[str, Any]) -> None:
    """Keep `memory` for the next run."""
    store.set(MEMORY_KEY, memory)


def fail_loudly(line: str) -> None:
    """End the run as failed, without a retry: the next tick looks again, within the budget."""
    from airflow.sdk.exceptions import AirflowFailException

    raise AirflowFailException(line)
