"""What one run of the maintenance closes: the hours to compact by table, and those to recompute of derived tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upbit_lake.contract.model import Contract
from upbit_lake.hours.closing import work_list
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.progress import LakeState


@dataclass(frozen=True)
class Closing:
    """What one run does: by derived table the hours that are recomputed, and by table the hours to compact.

    Sources come first: what is derived from them is computed once they are compacted, and is compacted last.
    """

    exact: Mapping[str, Sequence[Hour]]
    compact: Mapping[str, Sequence[Hour]]

    def __bool__(self) -> bool:
        return bool(self.exact or self.compact)


def plan_closing(contract: Contract, state: LakeState, done: Mapping[tuple[str, Hour], str]) -> Closing:
    """The closed hours that changed since they were closed last, oldest first, at most `hours.per_run` of them.

    A derived table is recomputed only where its source changed; its partition is then compacted with the others.
    """
    every = [item for items in state.states.values() for item in items]
    changed = work_list(every, done, state.is_closed, contract.hours.per_run)
    hours: dict[str, list[Hour]] = {}
    for item in changed:
        hours.setdefault(item.table, []).append(item.hour)
    exact = {table: hours[source] for source in hours for table in contract.derived_from(source)}
    sources = {source: hours[source] for table in exact if (source := contract.source_table(table)) is not None}
    others = {table: hours[table] for table in hours if table not in exact}
    last = {table: sorted({*hours.get(table, ()), *exact[table]}) for table in exact}
    return Closing(exact, sources | others | last)
