"""The coverage level at work: audits windows of offsets, explains their gaps from Kafka, remembers both."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from upbit_lake.contract.columns import TableColumns, table_columns
from upbit_lake.contract.model import Stream
from upbit_lake.engines.clock import wait_until
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.kafka.offsets import TopicOffsets
from upbit_lake.engines.kafka.records import KafkaRecord, Range
from upbit_lake.hours.hour import Hour, neighbours
from upbit_lake.hours.partitions import PartitionState
from upbit_lake.hours.progress import LakeState
from upbit_lake.hours.stored import last_written
from upbit_lake.state.audits import Gap, GapKind, Window, read_gaps, read_windows, save_audit
from upbit_lake.verify.coverage import (
    audited_to,
    disjoint,
    is_recreated,
    merge_gaps,
    next_ranges,
    split_expired,
)
from upbit_lake.verify.expected import Bad, NotStored, Stored, dead_letter_place, expected_row, key_text
from upbit_lake.verify.lake_keys import LakeKeys
from upbit_lake.verify.lake_offsets import Bounds, LakeOffsets

log = logging.getLogger(__name__)

BATCH = 5000
# Each look starts the lake's reader (0.3 s); a commit comes once a checkpoint.
LOOK_AGAIN_S = 3.0
# File times are the writers' clock, window times ours.
CLOCK_SLACK = timedelta(minutes=5)


@dataclass(frozen=True)
class Audit:
    """What is known of a table's topic after an audit: open gaps, and per partition the offset audited up to.

    `fresh`: gaps that no earlier run saw and that may be a commit under way.
    """

    gaps: Sequence[Gap]
    audited: Mapping[int, int]
    targets: Mapping[Hour, Mapping[int, int]]
    fresh: Sequence[Gap]


@dataclass(frozen=True)
class Unexplained:
    """A record whose offset the lake does not hold, with what should have become of it."""

    record: KafkaRecord
    expected: Stored | Bad


class Auditor:
    """Audits the topic of one table. `stream` is None for the dead letters."""

    def __init__(self, engines: Engines, table: str) -> None:
        contract = engines.contract
        self._engines = engines
        self._contract = contract
        self._table = table
        self._stream: Stream | None = contract.stream_of_table(table)
        self._topic = self._stream.topic if self._stream else contract.dead_letter.topic
        self._columns: TableColumns = table_columns(contract, table)
        self._keys = LakeKeys(contract, table, engines.lake)
        self._offsets = LakeOffsets(contract, table, engines.lake)
        self._db = engines.db
        self._clock = engines.clock

    def audit(self, state: LakeState, hours: Iterable[Hour]) -> Audit:
        """Audit what was consumed since the last window, what earlier audits left open, and the whole of `hours`.

        Raises:
            LakeQueryError, KafkaAnswerError: lake or Kafka do not answer; nothing is remembered.
        """
        topic = state.topics[self._topic]
        windows = read_windows(self._db, self._topic)
        before = audited_to(windows, topic.topic_id)
        open_gaps = read_gaps(self._db, self._topic)
        began_ms = self._began_ms(topic, windows)
        added = [
            Window(self._topic, topic.topic_id, r.partition, r.start, r.end, began_ms, state.now)
            for r in next_ranges(topic, windows)
        ]
        audited = before | {window.partition: window.end for window in added}
        present = [item.hour for item in state.states[self._table]]
        targets = self._offsets.bounds(topic, list(hours), present, began_ms)
        missing = self._offsets.missing(topic, began_ms, self._candidates(state, windows), [_range(w) for w in added])
        gaps = [gap for gap in open_gaps if gap.topic_id != topic.topic_id or gap.kind is GapKind.LOG_EXPIRED]
        readable = self._recheck(topic, targets, present, before, open_gaps, began_ms)
        for gap in missing:
            expired, rest = split_expired(gap, topic.partitions[gap.partition].first)
            gaps += self._expired(topic, expired, began_ms, state.now) if expired else []
            readable += [rest] if rest else []
        seen = {
            (gap.partition, offset)
            for gap in open_gaps
            if gap.kind is not GapKind.LOG_EXPIRED and gap.topic_id == topic.topic_id
            for offset in range(gap.start, gap.end)
        }
        newest = last_written(state.states[self._table])
        found, held = self._explain(topic, disjoint(readable), seen, newest, began_ms)
        under_way: list[Gap] = []
        for item in found:
            (under_way if _may_be_under_way(item, seen, held) else gaps).append(item)
        # Merged apart, so that a gap is fresh or not as a whole.
        fresh = merge_gaps(under_way)
        merged = [*merge_gaps(gaps), *fresh]
        save_audit(self._db, self._topic, added, merged, state.now)
        count = sum(window.end - window.start for window in added)
        log.info("%s: %d offsets audited, %d records of gaps read", self._topic, count, _size(readable))
        return Audit(merged, audited, {h: {n: e for n, (_, e) in t.items()} for h, t in targets.items()}, fresh)

    def _began_ms(self, topic: TopicOffsets, windows: Sequence[Window]) -> int:
        """When this topic's first record was received. Only a recreated topic needs to know: its offsets begin again,
        and rows of the old topic must not stand for them.
        """
        known = [window.began_ms for window in windows if window.topic_id == topic.topic_id]
        if known:
            return known[0]
        if not is_recreated(windows, topic.topic_id):
            return 0
        firsts = [Range(number, p.first, p.first + 1) for number, p in topic.partitions.items() if p.end > p.first]
        with self._engines.records() as reader:
            return min((record.received_ms for record in reader.read(self._topic, firsts)), default=0)

    def _candidates(self, state: LakeState, windows: Sequence[Window]) -> list[Hour]:
        """The hours that can hold rows of new windows: those written since the last audit."""
        states: Sequence[PartitionState] = state.states[self._table]
        times = [window.received_until for window in windows if window.received_until is not None]
        since = max(times) - CLOCK_SLACK if times else datetime.min.replace(tzinfo=UTC)
        return [item.hour for item in states if item.updated_at >= since]

    def _recheck(
        self,
        topic: TopicOffsets,
        targets: Mapping[Hour, Bounds],
        present: Sequence[Hour],
        before: Mapping[int, int],
        open_gaps: Sequence[Gap],
        began_ms: int,
    ) -> list[Range]:
        """What earlier windows hold and wants a second look: open gaps, and the offsets of the hours at hand.

        What Kafka no longer has was judged when it was audited, and is left as it was.
        """
        found = [
            Range(gap.partition, gap.start, gap.end)
            for gap in open_gaps
            if gap.topic_id == topic.topic_id and gap.kind is not GapKind.LOG_EXPIRED
        ]
        near: set[Hour] = set()
        wanted = self._offsets.own(topic, list(targets), began_ms)
        for hour, bounds in targets.items():
            earlier, later = neighbours(hour, present)
            near |= {*earlier, hour, *later}
            wanted += [Range(number, low, high) for number, (low, high) in bounds.items()]
        audited = [Range(item.partition, item.start, min(item.end, before.get(item.partition, 0))) for item in wanted]
        found += self._offsets.missing(
            topic, began_ms, near, disjoint(item for item in audited if item.end > item.start)
        )
        parts = [split_expired(gap, topic.partitions[gap.partition].first)[1] for gap in found]
        return [part for part in parts if part is not None]

    def _expired(self, topic: TopicOffsets, gap: Range, began_ms: int, now: datetime) -> list[Gap]:
        """A run that Kafka has deleted, with the hours that it may have belonged to."""
        first, last = self._offsets.hours_around(gap, began_ms) or (Hour.of(now), Hour.of(now))
        return [Gap(self._topic, topic.topic_id, gap.partition, gap.start, gap.end, GapKind.LOG_EXPIRED, first, last)]

    def _explain(
        self,
        topic: TopicOffsets,
        ranges: Sequence[Range],
        seen: Set[tuple[int, int]],
        newest: Sequence[Hour],
        began_ms: int,
    ) -> tuple[list[Gap], Mapping[int, int]]:
        """Read the records of `ranges`; what is still unexplained after the jobs' next commits is a gap.

        Gives the gaps, one a record, and per partition the offset below which the lake was complete before the last
        look: a job commits its records in their order. What is in `seen` has had its time in an earlier run.
        """
        unexplained: list[Unexplained] = []
        with self._engines.records() as reader:
            for records in _batches(reader.read(self._topic, ranges), BATCH):
                expected = [(record, self._expected(record)) for record in records]
                wanted = [Unexplained(record, row) for record, row in expected if not isinstance(row, NotStored)]
                unexplained += self._absent(wanted)
        bad = [(item.record, item.expected.reason) for item in unexplained if isinstance(item.expected, Bad)]
        if bad:
            log.warning("%s: %d bad records go to %s", self._topic, len(bad), self._contract.dead_letter.topic)
            self._engines.dead_letters.send(bad)
        held: Mapping[int, int] = {}
        if any(_place(item.record) not in seen for item in unexplained):
            held = self._offsets.held(newest, began_ms)
            unexplained = self._after_commits(unexplained)
        return [self._gap(topic, item) for item in unexplained], held

    def _after_commits(self, unexplained: list[Unexplained]) -> list[Unexplained]:
        """Look again until everything is there, or three checkpoints must have passed: the offsets that a job commits
        to Kafka and the rows that it commits to the lake become visible one after the other.
        """
        if not unexplained:
            return []
        self._clock.sleep(LOOK_AGAIN_S)
        return wait_until(
            lambda: self._absent(unexplained),
            lambda absent: not absent,
            3 * self._contract.checkpoints.interval_s,
            LOOK_AGAIN_S,
            self._clock,
        )

    def _expected(self, record: KafkaRecord) -> Stored | Bad | NotStored:
        if self._stream is None:
            return dead_letter_place(record, self._topic)
        return expected_row(record, self._stream, self._columns, self._contract.lake.snapshot_max_age_s)

    def _absent(self, items: Sequence[Unexplained]) -> list[Unexplained]:
        """Those of `items` that are neither in the table nor among the dead letters."""
        stored = [item.expected for item in items if isinstance(item.expected, Stored)]
        present = self._keys.present(stored)
        bad = [(i.record.partition, i.record.offset) for i in items if isinstance(i.expected, Bad)]
        dead_lettered = self._keys.dead_lettered(self._topic, bad)

        def is_there(item: Unexplained) -> bool:
            if isinstance(item.expected, Stored):
                return item.expected in present
            return _place(item.record) in dead_lettered

        return [item for item in items if not is_there(item)]

    def _gap(self, topic: TopicOffsets, item: Unexplained) -> Gap:
        record = item.record
        if isinstance(item.expected, Stored):
            kind, hour, key, reason = GapKind.LOSS, item.expected.hour, key_text(item.expected), ""
        else:
            kind, hour, reason = GapKind.BAD, Hour.of_ms(record.timestamp_ms), item.expected.reason
            key = (record.key or b"unknown").decode("utf-8", "replace")
        return Gap(
            self._topic,
            topic.topic_id,
            record.partition,
            record.offset,
            record.offset + 1,
            kind,
            hour,
            hour,
            key,
            reason,
        )


def _may_be_under_way(gap: Gap, seen: Set[tuple[int, int]], held: Mapping[int, int]) -> bool:
    """Whether the record of a gap may still arrive: no earlier run missed it, and the lake holds no later one."""
    if (gap.partition, gap.start) in seen:
        return False
    return gap.kind is GapKind.BAD or gap.start >= held.get(gap.partition, 0)


def _range(window: Window) -> Range:
    return Range(window.partition, window.start, window.end)


def _place(record: KafkaRecord) -> tuple[int, int]:
    return (record.partition, record.offset)


def _size(ranges: Iterable[Range]) -> int:
    return sum(item.end - item.start for item in ranges)


def _batches(records: Iterator[KafkaRecord], size: int) -> Iterator[list[KafkaRecord]]:
    while batch := list(islice(records, size)):
        yield batch
