"""The spool: nothing that was synced is lost at any byte, nothing leaves without an acknowledgement, order holds."""

import errno
import os
from pathlib import Path

import pytest

from tests.unit.ingester.spool.spool_records import Clock, acknowledge, files, numbers, record, send_all
from upbit_ingester.spool import log as spools
from upbit_ingester.spool.log import Spool
from upbit_ingester.spool.record import Record, decode_all, encode
from upbit_ingester.spool.segment import MAGIC


def test_records_come_back_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Clock())
    value = bytes(range(256)) * 10
    spool.append([Record(b"KRW-BTC", (("source", b"rest"),), value), record(1)])
    assert [left.value for left in Spool(tmp_path, Clock()).left_over()] == [value, record(1).value]


def test_what_is_acknowledged_leaves_what_is_not_stays(tmp_path: Path) -> None:
    clock = Clock()
    spool = Spool(tmp_path, clock)
    spool.append([record(n) for n in range(3)])
    entries = send_all(spool)
    acknowledge(spool, entries[:2])
    clock.now_s += spools.SEGMENT_AGE_S
    spool.roll()
    assert files(tmp_path) == ["000000000001.seg"]
    acknowledge(spool, entries[2:])
    assert files(tmp_path) == []
    assert (spool.unacknowledged, spool.bytes) == (0, 0)


def test_a_second_acknowledgement_of_the_same_record_counts_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Clock())
    spool.append([record(1), record(2)])
    entries = send_all(spool)
    acknowledge(spool, [entries[0], entries[0]])
    assert spool.unacknowledged == 1


def test_a_start_sends_what_is_left_before_what_is_new(tmp_path: Path) -> None:
    first = Spool(tmp_path, Clock())
    first.append([record(1), record(2)])
    send_all(first)  # sent, never acknowledged, then killed
    second = Spool(tmp_path, Clock())
    second.append([record(3)])
    assert second.unacknowledged == 3
    assert numbers(send_all(second)) == [1, 2, 3]


def test_the_end_may_be_torn_at_every_byte(tmp_path: Path) -> None:
    whole = [encode(record(n)) for n in range(3)]
    data = MAGIC + b"".join(whole)
    ends = [len(MAGIC) + sum(map(len, whole[: n + 1])) for n in range(3)]
    for length in range(len(data) + 1):
        directory = tmp_path / str(length)
        directory.mkdir()
        (directory / "000000000007.seg").write_bytes(data[:length])
        spool = Spool(directory, Clock())
        kept = sum(end <= length for end in ends)
        assert spool.unacknowledged == kept
        assert spool.torn_tails == (0 if length in (len(MAGIC), *ends) else 1), length
        spool.append([record(9)])
        assert numbers(send_all(spool)) == [*range(kept), 9]


def test_any_damaged_byte_ends_the_segment_before_its_record() -> None:
    data = encode(record(0)) + encode(record(1))
    first = len(encode(record(0)))
    for position in range(len(data)):
        damaged = data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]
        found = [int(dict(kept.headers)["frame"]) for kept, _ in decode_all(damaged)]
        assert found == ([] if position < first else [0]), position


def test_a_failure_puts_the_cursor_back_to_what_is_not_acknowledged(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Clock())
    spool.append([record(n) for n in range(5)])
    entries = send_all(spool)
    acknowledge(spool, [entries[0], entries[2]])
    spool.rewind()
    spool.append([record(5)])
    assert numbers(send_all(spool)) == [1, 3, 4, 5]


def test_more_than_memory_keeps_is_read_back_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "TAIL_BYTES", 500)
    spool = Spool(tmp_path, Clock(), segment_bytes=2000)
    for start in range(0, 300, 10):
        spool.append([record(n, 40) for n in range(start, start + 10)])
    assert len(files(tmp_path)) > 3
    first = next(spool.unsent())
    spool.sent(first)
    spool.append([record(300)])
    assert numbers([first, *send_all(spool)]) == list(range(301))


def test_an_old_segment_is_sealed_although_nothing_new_comes(tmp_path: Path) -> None:
    clock = Clock()
    spool = Spool(tmp_path, clock)
    spool.append([record(1)])
    acknowledge(spool, send_all(spool))
    spool.roll()
    assert len(files(tmp_path)) == 1
    clock.now_s += spools.SEGMENT_AGE_S
    spool.roll()
    assert files(tmp_path) == []


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, Clock())
    spool.append([record(1)])
    real_write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: _half_then_full(real_write, handle, data, at))
    with pytest.raises(OSError, match="No space left"):
        spool.append([record(2), record(3)])
    monkeypatch.undo()
    assert spool.unacknowledged == 1
    spool.append([record(4)])
    assert numbers(send_all(spool)) == [1, 4]
    assert [left.value for left in Spool(tmp_path, Clock()).left_over()] == [record(1).value, record(4).value]


_writes = 0


def _half_then_full(write: object, handle: int, data: memoryview, at: int) -> int:
    global _writes
    _writes += 1
    if _writes % 2:
        return int(write(handle, bytes(data)[: len(data) // 2], at))  # type: ignore[operator]
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_cannot_be_synced_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, Clock())
    spool.append([record(1)])
    monkeypatch.setattr(os, "fdatasync", _refuse)
    with pytest.raises(OSError, match="Input/output"):
        spool.append([record(2)])
    assert numbers(send_all(spool)) == [1]
    monkeypatch.undo()
    spool.append([record(3)])
    assert numbers(send_all(spool)) == [3]
    assert [left.value for left in Spool(tmp_path, Clock()).left_over()] == [record(1).value, record(3).value]


def _refuse(_handle: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def damaged(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


def test_a_wrong_byte_costs_its_record_only_and_the_file_is_kept(tmp_path: Path) -> None:
    chunks = [encode(record(n)) for n in range(3)]
    data = MAGIC + b"".join(chunks)
    ends = [len(MAGIC) + sum(map(len, chunks[: n + 1])) for n in range(3)]
    for position in range(len(data)):
        directory = tmp_path / str(position)
        directory.mkdir()
        (directory / "000000000007.seg").write_bytes(damaged(data, position))
        spool = Spool(directory, Clock())
        hit = next((n for n, end in enumerate(ends) if position < end), 3) if position >= len(MAGIC) else None
        assert numbers(send_all(spool)) == [n for n in range(3) if n != hit], position
        if spool.damaged:
            assert (directory / "000000000007.broken").read_bytes() == damaged(data, position)
        else:
            assert hit == 2, "only an end that a kill could have left is cut"
        spool.append([record(9)])
        assert numbers(send_all(spool)) == [9]
        again = Spool(directory, Clock())
        assert (again.damaged, again.torn_tails) == (0, 0)


def test_a_file_without_one_readable_record_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "000000000007.seg").write_bytes(b"nothing of ours")
    spool = Spool(tmp_path, Clock())
    assert (spool.damaged, spool.unacknowledged) == (1, 0)
    spool.append([record(1)])
    assert files(tmp_path) == ["000000000008.seg"]
    assert (tmp_path / "000000000007.broken").read_bytes() == b"nothing of ours"


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.seg").write_bytes(b"a note")
    assert Spool(tmp_path, Clock()).unacknowledged == 0
    assert (tmp_path / "notes.seg").read_bytes() == b"a note"
