"""The streams share their surroundings, and carry out in one way what continuity decides."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from upbit_ingester.clock import Clock
from upbit_ingester.continuity.continuity import Decision
from upbit_ingester.continuity.refetch import Target
from upbit_ingester.delivery.pump import Item, Pump
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.gap_log import Gap, Gaps
from upbit_ingester.spool.state import Change, State


@dataclass(frozen=True, slots=True)
class Shared:
    """`state` is the event loop's copy; `codes` gives what is wanted, `heal` takes what must be fetched by REST."""

    pump: Pump
    state: State
    metrics: Metrics
    gaps: Gaps
    codes: Callable[[], tuple[str, ...]]
    heal: Callable[[Target], None]
    clock: Clock

    def carry_out(self, stream: str, decisions: Iterable[Decision]) -> None:
        """Keep, fetch and record what continuity has decided for `stream`, in its order."""
        for decision in decisions:
            if isinstance(decision, Change):
                self.pump.offer(Item(stream, None, decision))
            elif isinstance(decision, Target):
                self.heal(decision)
            else:
                self.gaps.store(stream, decision)
                self.metrics.gaps[stream] += isinstance(decision, Gap)
