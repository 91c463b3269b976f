"""The memory of a supervising DAG across its runs, kept in the state store of an asset, and shown to the look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from airflow.sdk import Asset, get_current_context

from upbit_lake.engines.postgres import Database
from upbit_lake.state import supervision

MEMORY_KEY = "memory"


class Memory(Protocol):
    """What a run remembers; plain JSON outside of it."""

    @classmethod
    def from_json(cls, data: Any) -> Any:
        """The memory that `to_json` gave, or an empty one."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""


M = TypeVar("M", bound=Memory)


@contextmanager
def remembered(asset: Asset, kind: type[M], db: Database, subject: str) -> Iterator[M]:
    """The memory of the last run, changed in the block and kept for the next run, also when the block fails.

    The control database gets a copy of what was seen of `subject`, for whoever looks between two runs.
    """
    store = get_current_context()["asset_state_store"][asset]
    memory: M = kind.from_json(store.get(MEMORY_KEY))
    try:
        yield memory
    finally:
        store.set(MEMORY_KEY, memory.to_json())
        supervision.save(db, subject, memory.to_json())
