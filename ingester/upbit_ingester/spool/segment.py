"""A segment file of the spool, and a record's place in it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from upbit_ingester.spool.record import Record, decode_all

MAGIC = b"UPSPOOL1"


@dataclass(eq=False, slots=True)
class Segment:
    """One file of the log and which of its records Kafka has acknowledged."""

    path: Path
    size: int
    created_s: float
    records: int = 0
    unacknowledged: int = 0
    sealed: bool = False
    acknowledged: bytearray = field(default_factory=bytearray)

    def grow(self, records: int, size: int) -> None:
        """Take over `records` records of `size` bytes that now stand in the file."""
        self.acknowledged.extend(bytes(records))
        self.records += records
        self.unacknowledged += records
        self.size += size

    def waiting(self) -> Iterator[Record]:
        """The records that Kafka has not acknowledged, from the file."""
        for index, (record, _) in enumerate(decode_all(self.path.read_bytes(), len(MAGIC))):
            if not self.acknowledged[index]:
                yield record


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A record with its place in the log."""

    segment: Segment
    number: int  # of the record within the segment, from 0
    end: int  # offset behind the record in the segment's file
    record: Record
