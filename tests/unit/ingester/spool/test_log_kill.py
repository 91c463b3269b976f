"""A spool whose process is killed at every single byte that it writes, with the real calls cut short there.

What `append` returned for is kept and sent in order; of the append that was cut a beginning may be kept; nothing else
comes out. The integration test kills the real process; here no byte is left out.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.unit.ingester.spool.spool_records import Clock, acknowledge, numbers, send_all
from tests.unit.ingester.spool.spool_records import record as record_of
from upbit_ingester.spool.log import Spool
from upbit_ingester.spool.record import Record

SEGMENT_BYTES = 200  # three or four records: the run below goes through several segments


class KilledError(BaseException):
    """The process ends here: no `except` of the spool may run."""


def record(number: int) -> Record:
    return record_of(number, number % 7 * 9)


def left_in(spool: Spool) -> list[int]:
    return [int(dict(record.headers)["frame"]) for record in spool.left_over()]


@contextmanager
def killed_after(budget: int, patch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The process dies once it has written `budget` bytes: the write that crosses it is torn. Yields [bytes left]."""
    left = [budget]
    really_write, really_pwrite = os.write, os.pwrite

    def torn(data: bytes | memoryview) -> bytes:
        fits = bytes(data)[: left[0]]
        left[0] -= len(fits)
        return fits

    def write(handle: int, data: bytes) -> int:
        return _or_die(really_write(handle, torn(data)), data)

    def pwrite(handle: int, data: memoryview, at: int) -> int:
        return _or_die(really_pwrite(handle, torn(data), at), data)

    with patch.context() as patched:
        patched.setattr(os, "write", write)
        patched.setattr(os, "pwrite", pwrite)
        for sync in ("fsync", "fdatasync"):  # a kill, unlike a power cut, takes nothing of what was written
            patched.setattr(os, sync, lambda _handle: None)
        yield left


def _or_die(written: int, data: bytes | memoryview) -> int:
    if written < len(data):
        raise KilledError
    return written


@dataclass
class Run:
    """Appends, sends and acknowledges; `kept` = appended for certain, `started` = at the most."""

    directory: Path
    kept: int = 0
    started: int = 0
    acknowledged: set[int] = field(default_factory=set)

    def go(self) -> None:
        spool = Spool(self.directory, Clock(), SEGMENT_BYTES)
        for count in (1, 3, 2, 5, 1, 4):
            self.started = self.kept + count
            spool.append([record(n) for n in range(self.kept, self.started)])
            self.kept = self.started
            entries = send_all(spool)[:2]  # the rest is in flight when the process dies
            acknowledge(spool, entries)
            self.acknowledged.update(numbers(entries))


def bytes_of_a_whole_run(folder: Path, patch: pytest.MonkeyPatch) -> int:
    with killed_after(10**9, patch) as left:
        Run(folder).go()
    return 10**9 - left[0]


def test_a_kill_at_any_byte_keeps_what_was_appended_and_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bytes_of_a_whole_run(tmp_path / "whole", monkeypatch)
    assert len(list((tmp_path / "whole").glob("*.seg"))) > 2
    for budget in range(whole):
        run = Run(tmp_path / str(budget))
        with killed_after(budget, monkeypatch), pytest.raises(KilledError):
            run.go()
        again = Spool(run.directory, Clock(), SEGMENT_BYTES)
        left = left_in(again)
        assert left == sorted(set(left)), budget
        assert set(range(run.kept)) <= {*left, *run.acknowledged}, budget
        assert set(left) <= set(range(run.started)), budget
        assert again.damaged == 0, budget
        again.append([record(99)])
        assert numbers(send_all(again)) == [*left, 99], budget
        third = Spool(run.directory, Clock(), SEGMENT_BYTES)
        assert (third.torn_tails, left_in(third)) == (0, [*left, 99]), budget


@pytest.mark.parametrize("cut", ["oldest", "middle", "youngest"])
def test_a_file_cut_at_any_byte_costs_its_own_end_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    """A file system may lose the end of any file, not only of the one that was written last."""
    Run(tmp_path / "whole").go()
    paths = sorted((tmp_path / "whole").glob("*.seg"))
    victim = paths[{"oldest": 0, "middle": len(paths) // 2, "youngest": -1}[cut]]
    whole = left_in(Spool(tmp_path / "whole", Clock()))
    inside = left_in(_only(victim, tmp_path / "one"))
    for length in range(victim.stat().st_size):
        directory = tmp_path / f"{cut}{length}"
        directory.mkdir()
        for path in paths:
            data = path.read_bytes()
            (directory / path.name).write_bytes(data[:length] if path == victim else data)
        left = left_in(Spool(directory, Clock()))
        lost = [number for number in whole if number not in left]
        assert left == [number for number in whole if number not in lost], length
        assert lost == inside[len(inside) - len(lost) :], length
        assert lost, "a cut file has lost something"


def _only(path: Path, directory: Path) -> Spool:
    directory.mkdir()
    (directory / path.name).write_bytes(path.read_bytes())
    return Spool(directory, Clock())


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_kill_while_a_damaged_segment_is_rescued_costs_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """A rescue writes two files and puts one in the damaged one's place: killed in either, or before the last step."""
    Spool(tmp_path, Clock()).append([record(n) for n in range(4)])
    (path,) = tmp_path.glob("*.seg")
    broken = bytearray(path.read_bytes())
    broken[40] ^= 0xFF  # in the first record
    path.write_bytes(broken)
    really, files = Path.write_bytes, []

    def write_bytes(target: Path, data: bytes) -> int:
        files.append(target)
        if len(files) > written:
            really(target, data[: len(data) // 2])
            raise KilledError
        return really(target, data)

    def replace(*_: Path) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", write_bytes)
        patched.setattr(Path, "replace", replace)
        with pytest.raises(KilledError):
            Spool(tmp_path, Clock())
    assert len(files) == min(written + 1, 2)
    again = Spool(tmp_path, Clock())
    assert (again.damaged, left_in(again)) == (1, [1, 2, 3])
    assert path.with_suffix(".broken").read_bytes() == bytes(broken)
