"""The coverage level, decisions only: which offsets to audit, what their gaps mean, what an hour's verdict is.

Offsets are audited in windows that follow each other without a hole, so the cost grows with the gaps, not with the
data. A loss belongs to the hour of its own event; a run of offsets that Kafka no longer has, to the hours around it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from upbit_lake.engines.kafka.offsets import TopicOffsets
from upbit_lake.engines.kafka.records import Range
from upbit_lake.hours.hour import Hour
from upbit_lake.state.audits import Gap, GapKind, Window
from upbit_lake.state.verdicts import HourVerdict, Level, Status

# Rows of one query: two columns of this many rows are sorted in the reader's memory.
WINDOW_OFFSETS = 4_000_000
NAMED = 5


def audited_to(windows: Iterable[Window], topic_id: str) -> dict[int, int]:
    """Per partition the offset up to which the topic with `topic_id` was audited."""
    ends: dict[int, int] = {}
    for window in windows:
        if window.topic_id == topic_id:
            ends[window.partition] = max(window.end, ends.get(window.partition, 0))
    return ends


def next_ranges(topic: TopicOffsets, windows: Iterable[Window], limit: int = WINDOW_OFFSETS) -> list[Range]:
    """What to audit next, per partition: from the last window's end to what the job has committed.

    A partition without a committed offset has given nothing to the lake yet; its audit waits.
    """
    ends = audited_to(windows, topic.topic_id)
    ranges = []
    for number, offsets in sorted(topic.partitions.items()):
        start = ends.get(number, 0)
        end = min(offsets.committed or 0, offsets.end, start + limit)
        if end > start:
            ranges.append(Range(number, start, end))
    return ranges


def is_recreated(windows: Iterable[Window], topic_id: str) -> bool:
    """Whether a topic of another id was audited under this name before."""
    return any(window.topic_id != topic_id for window in windows)


def split_expired(gap: Range, first: int) -> tuple[Range | None, Range | None]:
    """The part of `gap` that Kafka no longer has (below `first`) and the part that can be read."""
    cut = min(max(gap.start, first), gap.end)
    expired = Range(gap.partition, gap.start, cut) if cut > gap.start else None
    readable = Range(gap.partition, cut, gap.end) if gap.end > cut else None
    return expired, readable


def disjoint(ranges: Iterable[Range]) -> list[Range]:
    """The same offsets, none of them twice."""
    result: list[Range] = []
    for item in sorted(ranges, key=lambda item: (item.partition, item.start)):
        last = result[-1] if result else None
        if last is not None and last.partition == item.partition and item.start <= last.end:
            result[-1] = Range(last.partition, last.start, max(last.end, item.end))
        else:
            result.append(item)
    return result


def merge_gaps(gaps: Iterable[Gap], named: int = NAMED) -> list[Gap]:
    """Neighbouring gaps of one kind and hour as one, which names its first keys."""
    merged: list[Gap] = []
    for gap in sorted(gaps, key=lambda gap: (gap.topic_id, gap.partition, gap.start)):
        last = merged[-1] if merged else None
        if last is not None and _continues(last, gap):
            keys = last.event_key.split(", ")
            names = ", ".join([*keys, gap.event_key]) if len(keys) < named and gap.event_key else last.event_key
            merged[-1] = replace(last, end=gap.end, event_key=names)
        else:
            merged.append(gap)
    return merged


def _continues(last: Gap, gap: Gap) -> bool:
    def place(item: Gap) -> tuple[object, ...]:
        return (item.topic_id, item.partition, item.kind, item.first_hour, item.last_hour, item.reason)

    return last.end == gap.start and place(last) == place(gap)


def judge_coverage(
    table: str,
    hour: Hour,
    gaps: Sequence[Gap],
    pending: Mapping[int, int],
    fresh: Collection[Gap] = (),
    partial: bool = False,
) -> HourVerdict:
    """The verdict on an hour: `gaps` are the open gaps of the table's topic, `pending` the offsets that its hour needs
    but no window holds yet, by partition. `fresh`: those of `gaps` whose records may still be on their way.
    """
    of_hour = [gap for gap in gaps if gap.first_hour <= hour <= gap.last_hour]
    late = [gap for gap in of_hour if gap in fresh]
    lost = [gap for gap in of_hour if gap.kind is not GapKind.LOG_EXPIRED and gap not in late]
    expired = [gap for gap in of_hour if gap.kind is GapKind.LOG_EXPIRED]
    if lost:
        status, reason = Status.RED, "; ".join(_words(gap) for gap in lost[:NAMED])
    elif late:
        status, reason = Status.LATE, "; ".join(_words(gap) for gap in late[:NAMED])
    elif expired:
        status, reason = Status.LOG_EXPIRED, "; ".join(_words(gap) for gap in expired[:NAMED])
    elif pending:
        status = Status.LATE
        reason = ", ".join(f"partition {number}: {count} offsets not audited yet" for number, count in pending.items())
    else:
        status = Status.PARTIAL if partial else Status.GREEN
        reason = "every offset is accounted for"
    details = {"lost": sum(gap.end - gap.start for gap in lost), "log_expired": sum(g.end - g.start for g in expired)}
    return HourVerdict(Level.COVERAGE, table, hour, status, f"{table} {hour}: {reason}", details)


def _words(gap: Gap) -> str:
    count = gap.end - gap.start
    place = f"{gap.topic}[{gap.partition}] offset {gap.start}" + (f"..{gap.end - 1}" if count > 1 else "")
    if gap.kind is GapKind.LOG_EXPIRED:
        return f"{count} records at {place} were deleted by Kafka's retention before they could be audited"
    if gap.kind is GapKind.BAD:
        return f"bad record at {place} ({gap.reason}) is not in dead_letter yet"
    more = "" if count <= NAMED else f" and {count - NAMED} more"
    return f"{count} records are missing in the lake: {gap.event_key}{more} ({place})"


def pending_offsets(targets: Mapping[int, int], audited: Mapping[int, int]) -> dict[int, int]:
    """Per partition how many offsets up to `targets` no window holds; partitions without any are left out."""
    missing = {number: target - audited.get(number, 0) for number, target in targets.items()}
    return {number: count for number, count in missing.items() if count > 0}
