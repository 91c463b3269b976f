"""Which Kafka offsets of a topic the lake holds: the runs it lacks, and where an hour's offsets begin and end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from upbit_lake.contract.lake_sql import verify_sql
from upbit_lake.contract.model import Contract
from upbit_lake.contract.sql_files import RawSql
from upbit_lake.engines.kafka.offsets import TopicOffsets
from upbit_lake.engines.kafka.records import Range
from upbit_lake.engines.lake.reader import LakeReader
from upbit_lake.hours.hour import Hour, neighbours
from upbit_lake.hours.partitions import hour_filter
from upbit_lake.hours.stored import highest_offsets, own_offsets_sql

# A row that is missing at the very edge of its hour's offsets lies within so many of the rows that are there.
EDGE = 500

# Per partition the offsets [low, high) between which an hour's records lie.
Bounds = Mapping[int, tuple[int, int]]


class LakeOffsets:
    """Offsets of one table's topic. `began_ms`: rows received before belong to an older topic of the same name."""

    def __init__(self, contract: Contract, table: str, reader: LakeReader) -> None:
        self._contract = contract
        self._table = table
        self._reader = reader
        self._stream = contract.stream_of_table(table)

    def missing(
        self, topic: TopicOffsets, began_ms: int, hours: Iterable[Hour], ranges: Sequence[Range]
    ) -> list[Range]:
        """The runs of `ranges` that neither `hours` of the table nor the dead letters hold."""
        held_in = hour_filter(hours)
        queries = [
            verify_sql(
                self._contract,
                "offset_gaps",
                table=RawSql(self._table),
                dead_letter=RawSql(self._contract.dead_letter.table),
                hours=held_in,
                topic=topic.topic,
                partition=RawSql(wanted.partition),
                from_offset=RawSql(wanted.start),
                to_offset=RawSql(wanted.end),
                began_ms=RawSql(began_ms),
            )
            for wanted in ranges
        ]
        answers = self._reader.query_all(queries) if queries else []
        return [
            Range(wanted.partition, row["gap_start"], row["gap_end"])
            for wanted, answer in zip(ranges, answers, strict=True)
            for row in answer.to_pylist()
        ]

    def bounds(
        self, topic: TopicOffsets, hours: Sequence[Hour], present: Sequence[Hour], began_ms: int
    ) -> dict[Hour, Bounds]:
        """Where the records of each hour lie: from the first event that is not grace before it to the first that is
        grace after it; where there is none, from 0 or to what was committed. `present`: the hours that the table has;
        the next one may be days away. Dead letters have no such order: nothing to look at
        again, and everything committed is needed.
        """
        if self._stream is None:
            end = {number: (p.committed or 0, p.committed or 0) for number, p in topic.partitions.items()}
            return dict.fromkeys(hours, end)
        queries = [query for hour in hours for query in self._bound_queries(hour, present, self._stream.time, began_ms)]
        answers = [
            {row["kafka_partition"]: row["first_past"] for row in answer.to_pylist()}
            for answer in (self._reader.query_all(queries) if queries else [])
        ]
        return {
            hour: {n: (low.get(n, 0), high.get(n, p.committed or 0)) for n, p in topic.partitions.items()}
            for hour, low, high in zip(hours, answers[0::2], answers[1::2], strict=True)
        }

    def own(self, topic: TopicOffsets, hours: Sequence[Hour], began_ms: int) -> list[Range]:
        """Per hour and partition the offsets from its first to its last row, with an edge on both sides."""
        if self._stream is None or not hours:
            return []
        queries = [own_offsets_sql(self._contract, self._table, [hour], began_ms) for hour in hours]
        return [
            Range(row["kafka_partition"], max(0, row["first_offset"] - EDGE), row["last_offset"] + 1 + EDGE)
            for answer in self._reader.query_all(queries)
            for row in answer.to_pylist()
            if row["kafka_partition"] in topic.partitions
        ]

    def held(self, hours: Sequence[Hour], began_ms: int) -> dict[int, int]:
        """Per partition the highest offset that `hours` of the table hold."""
        return highest_offsets(self._reader, self._contract, self._table, hours, began_ms)

    def hours_around(self, gap: Range, began_ms: int) -> tuple[Hour, Hour] | None:
        """The hours of the events before and after a run of offsets; None when the lake knows neither."""
        if self._stream is None:
            return None
        query = verify_sql(
            self._contract,
            "neighbours",
            table=RawSql(self._table),
            time=RawSql(self._stream.time),
            partition=RawSql(gap.partition),
            from_offset=RawSql(gap.start),
            to_offset=RawSql(gap.end),
            began_ms=RawSql(began_ms),
        )
        row = self._reader.rows(query)[0]
        known = [row[name] for name in ("before_ms", "after_ms") if row[name] is not None]
        return (Hour.of_ms(min(known)), Hour.of_ms(max(known))) if known else None

    def _bound_queries(self, hour: Hour, present: Sequence[Hour], time: str, began_ms: int) -> list[str]:
        grace_ms = self._contract.hours.grace_s * 1000
        before, after = neighbours(hour, present)
        low = ([*before, hour], hour.start_ms - grace_ms)
        high = (after, hour.end_ms + grace_ms)
        return [
            verify_sql(
                self._contract,
                "targets",
                table=RawSql(self._table),
                time=RawSql(time),
                hours=hour_filter(near),
                bound_ms=RawSql(bound),
                began_ms=RawSql(began_ms),
            )
            for near, bound in (low, high)
        ]
