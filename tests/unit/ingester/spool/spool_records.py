"""Records, a clock and short ways through a spool; shared by its tests."""

from pathlib import Path

from upbit_ingester.spool.log import Spool
from upbit_ingester.spool.record import Record
from upbit_ingester.spool.segment import Entry


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def record(number: int, size: int = 20) -> Record:
    return Record(b"KRW-BTC", (("source", b"ws"), ("frame", b"%d" % number)), b"%d" % number + b"x" * size)


def send_all(spool: Spool) -> list[Entry]:
    entries = []
    for entry in spool.unsent():
        spool.sent(entry)
        entries.append(entry)
    return entries


def acknowledge(spool: Spool, entries: list[Entry]) -> None:
    for entry in entries:
        spool.acknowledge(entry.segment, entry.number)


def numbers(entries: list[Entry]) -> list[int]:
    return [int(dict(entry.record.headers)["frame"]) for entry in entries]


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.seg"))
