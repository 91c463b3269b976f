"""Asks how far the lake is: its own reader, which needs no slot, and Flink where that one fails or takes too long."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from upbit_lake.contract.model import Contract, Stream
from upbit_lake.contract.sql_files import RawSql, load_statements
from upbit_lake.engines.clock import SYSTEM, Clock
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.gateway import GatewaySession
from upbit_lake.engines.flink.session import BATCH, lake_session
from upbit_lake.engines.lake.process import LakeQueryError
from upbit_lake.engines.lake.reader import LakeReader
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.partitions import hour_filter
from upbit_lake.hours.stored import highest_offsets, newest_event_ms, newest_file_event_ms, read_last_written, recent

log = logging.getLogger(__name__)

T = TypeVar("T")
# The reader's whole answer. A job is down meanwhile: longer than this Flink's query takes no more.
READER_S = 30.0
# A batch job without a slot fails by itself after 5 minutes (`slot.request.timeout`).
FLINK_S = 300.0


@dataclass(frozen=True)
class LakeProgress:
    """How far the lake holds a topic.

    Args:
        open_session: opens a batch session of that name in which the lake's tables resolve.
        reader_s: for how long the reader may take for one answer (seconds).
    """

    contract: Contract
    reader: LakeReader
    open_session: Callable[[str], AbstractContextManager[GatewaySession]]
    reader_s: float = READER_S
    clock: Clock = SYSTEM

    @classmethod
    def of(cls, engines: Engines) -> LakeProgress:
        """Asked of these engines; nothing is contacted yet."""
        contract, settings = engines.contract, engines.settings

        def open_session(name: str) -> AbstractContextManager[GatewaySession]:
            return lake_session(engines.gateway, contract, settings, name, BATCH)

        return cls(contract, engines.lake, open_session, clock=engines.clock)

    def highest_offsets(self, stream: Stream, wanted: Collection[int]) -> dict[int, int]:
        """Kafka partition → an offset of it up to which the lake holds everything; for the `wanted` ones, if stored.

        A commit takes all offsets below it, so each stored offset will do, and the highest is the best. The newest
        events are asked first: they cost little. Only for a partition that has none of them all events are asked.
        Raises GatewayError.
        """
        table = stream.table

        def by_reader(left_s: Callable[[], float]) -> dict[int, int]:
            hours = read_last_written(self.reader, self.contract, table, left_s())
            newest = newest_file_event_ms(self.reader, self.contract, stream, left_s())
            if newest is not None:
                near = recent(stream, newest)
                found = highest_offsets(self.reader, self.contract, table, hours, since=near, timeout_s=left_s())
                if found.keys() >= set(wanted):
                    return found
            return highest_offsets(self.reader, self.contract, table, hours, timeout_s=left_s())

        def by_flink(session: GatewaySession) -> dict[int, int]:
            rows = self._query(session, "stored_offsets", table)
            return {int(partition): int(offset) for partition, offset in rows}

        return self._ask("replay point", table, by_reader, by_flink)

    def newest_event_ms(self, stream: Stream) -> int | None:
        """The newest event of a stream in the lake (exchange's clock), or None. Raises GatewayError."""

        def by_reader(left_s: Callable[[], float]) -> int | None:
            newest = newest_file_event_ms(self.reader, self.contract, stream, left_s())
            if newest is not None:
                return newest
            hours = read_last_written(self.reader, self.contract, stream.table, left_s())
            return newest_event_ms(self.reader, self.contract, stream, hours, left_s())

        def by_flink(session: GatewaySession) -> int | None:
            rows = self._query(session, "newest_event", stream.table, TIME=RawSql(stream.time))
            return int(rows[0][0]) if rows and rows[0][0] is not None else None

        return self._ask("lost hours", stream.table, by_reader, by_flink)

    def _ask(
        self,
        question: str,
        table: str,
        by_reader: Callable[[Callable[[], float]], T],
        by_flink: Callable[[GatewaySession], T],
    ) -> T:
        """`by_reader` is given how many seconds are left."""
        end = self.clock.monotonic() + self.reader_s
        try:
            return by_reader(lambda: max(0.0, end - self.clock.monotonic()))
        except (LakeQueryError, OSError) as error:  # OSError: no process can be started
            log.warning("%s of %s: the lake's reader cannot say it (%s), Flink is asked", question, table, error)
        with self.open_session(question) as session:
            return by_flink(session)

    def _query(self, session: GatewaySession, name: str, table: str, **more: RawSql) -> tuple[tuple[Any, ...], ...]:
        folder, lake = self.contract.root / "sql" / "restart", self.contract.lake
        variables = {"CATALOG": RawSql(lake.catalog), "DATABASE": RawSql(lake.database), "TABLE": RawSql(table), **more}
        (newest,) = load_statements(folder / "newest_partitions.sql", variables)
        hours = [Hour.of_partition(str(row[0])) for row in session.run(newest).rows]
        if not hours:
            return ()
        (statement,) = load_statements(folder / f"{name}.sql", {**variables, "HOURS": hour_filter(hours)})
        return session.run(statement, timeout_s=FLINK_S).rows
