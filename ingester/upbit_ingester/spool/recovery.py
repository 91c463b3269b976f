"""Recovery takes over a segment file of an earlier run: whole, torn at its end by a kill, or damaged."""

import logging
import os
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from upbit_ingester.spool.record import decode_all, encode, is_torn, salvage
from upbit_ingester.spool.segment import MAGIC, Segment

log = logging.getLogger(__name__)


class Recovered(NamedTuple):
    """The segment, None when it holds nothing, and what was wrong with its file."""

    segment: Segment | None
    torn: bool = False
    damaged: bool = False


def recover(path: Path, created_s: float) -> Recovered:
    """Recover the file at `path`: cut a torn end, keep a damaged one aside, delete one without records.

    Raises:
        OSError: the disk refuses.
    """
    data = path.read_bytes()
    ends = [end for _, end in decode_all(data, len(MAGIC))] if data.startswith(MAGIC) else []
    size = ends[-1] if ends else len(MAGIC)
    torn = False
    if damaged := _is_damaged(data, size):
        ends, size = _rescue(path, data)
    elif torn := size < len(data) or not data.startswith(MAGIC):
        log.warning("spool %s: cut %d torn bytes at offset %d", path, len(data) - min(size, len(data)), size)
        os.truncate(path, min(size, len(data)))
    if not ends:
        path.unlink()
        return Recovered(None, torn, damaged)
    segment = Segment(path, len(MAGIC), created_s, sealed=True)
    segment.grow(len(ends), size - len(MAGIC))
    return Recovered(segment, torn, damaged)


def _rescue(path: Path, data: bytes) -> tuple[list[int], int]:
    """Keep the damaged file as `.broken`, put what can be read of it in its place; (ends of records, size)."""
    aside = path.with_suffix(".broken")
    readable = [encode(record) for record in salvage(data)]
    fresh = path.with_suffix(".rescued")
    fresh.write_bytes(MAGIC + b"".join(readable))
    aside.write_bytes(data)
    fresh.replace(path)
    log.error("spool %s: is damaged, kept as %s; %d records can be read", path, aside.name, len(readable))
    ends = list(accumulate(map(len, readable), initial=len(MAGIC)))[1:]
    return ends, ends[-1] if ends else len(MAGIC)


def _is_damaged(data: bytes, size: int) -> bool:
    """True when more is wrong with a segment than a torn end behind its first `size` bytes."""
    if not data.startswith(MAGIC):
        return not MAGIC.startswith(data)
    return size < len(data) and not is_torn(data[size:])
